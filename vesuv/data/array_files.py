"""Arrays of a store: Zarr v3 arrays of one raw little-endian chunk, in C order."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.io.lazy.raw import RawVoxels
from vesuv.types import Array, Region

_MAX_ROW_PARTS = 4
"""Parts of a row up to which whole rows are read and written for each of them."""


def chunk_file(folder: Path, ndim: int) -> Path:
    """Return the file that holds all values of an array."""
    return folder.joinpath("c", *("0",) * ndim)


def write_array(folder: Path, array: Array) -> None:
    """Write an array."""
    chunk = create_array(folder, array.shape, array.dtype)
    np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tofile(chunk)


def create_array(folder: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> Path:
    """Write the metadata of an array, and return the path of the file of its values."""
    folder.mkdir()
    write_json(
        folder / "zarr.json",
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(shape),
            "data_type": dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(shape)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0.0 if dtype.kind == "f" else 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "attributes": {},
        },
    )
    chunk = chunk_file(folder, len(shape))
    chunk.parent.mkdir(parents=True)
    return chunk


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON directly: the folder around it is replaced atomically."""
    path.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


@dataclass(frozen=True)
class FileSlices:
    """A volume (z, y, x) in a file, read slice by slice."""

    voxels: RawVoxels

    @property
    def shape(self) -> tuple[int, ...]:
        return self.voxels.shape[1:]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, z: int, /) -> Array:
        _, height, width = self.shape
        (plane,) = self.voxels.read((slice(z, z + 1), slice(0, height), slice(0, width)))[0]
        return np.asarray(plane)


@dataclass(frozen=True)
class ArrayFile:
    """Values of an array that are written and read in parts.

    The file is not mapped into memory: mapped pages count as memory of the process.

    Args:
        path: The file.
        shape: (c, z, y, x).
        dtype: Type of the values in memory.
        descriptor: Of the open file.
    """

    path: Path
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    descriptor: int

    def write(self, region: Region, part: Array) -> None:
        """Write the values (c, z, y, x) of a region.

        Raises:
            OSError: The disk is full.
        """
        z, y, x = region
        _, depth, height, width = self.shape
        values = np.ascontiguousarray(part, self.dtype.newbyteorder("<"))
        for channel, volume in enumerate(values):
            for number, plane in zip(range(z.start, z.stop), volume, strict=True):
                first_row = (channel * depth + number) * height + y.start
                if x.stop - x.start == width:
                    self._write_at(first_row * width, plane)
                elif width <= _MAX_ROW_PARTS * (x.stop - x.start):
                    rows = self._read_rows(first_row, len(plane))
                    rows[:, x] = plane
                    self._write_at(first_row * width, rows)
                else:
                    for row, line in enumerate(plane, start=first_row):
                        self._write_at(row * width + x.start, line)

    def _read_rows(self, first: int, count: int) -> Array:
        """Return whole rows; writing them again is faster than writing a part of each."""
        row_bytes = self.shape[3] * self.dtype.itemsize
        content = os.pread(self.descriptor, count * row_bytes, first * row_bytes)
        return np.frombuffer(bytearray(content), self.dtype.newbyteorder("<")).reshape(count, -1)

    def read(self, region: Region) -> Array:
        """Return the values (c, z, y, x) of a region."""
        return RawVoxels(self.path, 0, self.shape, self.dtype.newbyteorder("<")).read(region)

    def channels(self) -> list[FileSlices]:
        """Return each channel, to be read slice by slice."""
        count, *edges = self.shape
        stored = (1, edges[0], edges[1], edges[2])
        num_bytes = math.prod(edges) * self.dtype.itemsize
        return [
            FileSlices(
                RawVoxels(self.path, index * num_bytes, stored, self.dtype.newbyteorder("<"))
            )
            for index in range(count)
        ]

    def _write_at(self, place: int, values: Array) -> None:
        data, offset = values.reshape(-1).view(np.uint8).data, place * self.dtype.itemsize
        while data:
            written = os.pwrite(self.descriptor, data, offset)
            data, offset = data[written:], offset + written


@contextmanager
def new_array_file(
    folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[ArrayFile]:
    """Create an array (c, z, y, x) or (z, y, x), to be written in parts.

    Raises:
        OSError: The folder cannot be written.
    """
    path = create_array(folder, shape, dtype)
    c, z, y, x = shape if len(shape) == 4 else (1, *shape)
    with path.open("w+b") as file:
        file.truncate(math.prod(shape) * dtype.itemsize)
        yield ArrayFile(path, (c, z, y, x), dtype, file.fileno())

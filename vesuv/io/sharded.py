"""Sharded Zarr arrays on disk, whose shards are each written once, whole or not at all."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.io.atomic import catch_write_errors
from vesuv.io.formats.zarr_ import axes_of
from vesuv.types import Array

Digests = dict[str, str | None]
"""File below the array's folder -> its SHA-256; None for a shard of fill values, which has none."""
_PARTIAL = "*.partial"
"""Files that zarr writes before it renames them."""


class ShardedArray:
    """A Zarr v3 array in a folder.

    Args:
        path: Folder of the array.

    Raises:
        OSError: There is no array.
    """

    def __init__(self, path: Path) -> None:
        import zarr

        self.path = path
        self._node: Any = zarr.open_array(str(path), mode="r+")

    @classmethod
    def create(
        cls,
        path: Path,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        *,
        chunks: Sequence[int],
        shards: Sequence[int],
        fill_value: int = 0,
    ) -> ShardedArray:
        """Write the metadata of a new array of 2 to 4 axes, as `axes_of` names them.

        Raises:
            InputError: The folder cannot be written.
        """
        import zarr

        with catch_write_errors(path):
            zarr.create_array(
                str(path),
                shape=tuple(shape),
                dtype=dtype,
                chunks=tuple(chunks),
                shards=tuple(shards),
                fill_value=fill_value,
                dimension_names=axes_of(len(shape)),
                zarr_format=3,
            )
        return cls(path)

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._node.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self._node.dtype
        return dtype

    @property
    def shards(self) -> tuple[int, ...]:
        shards: tuple[int, ...] = self._node.shards
        return shards

    @property
    def chunks(self) -> tuple[int, ...]:
        chunks: tuple[int, ...] = self._node.chunks
        return chunks

    def __getitem__(self, index: Any) -> Array:
        return np.asarray(self._node[index])

    def write(self, region: Sequence[slice], array: Array) -> Digests:
        """Write the shards of a region.

        What an earlier process left of them is removed first: a torn shard would be read.

        Args:
            region: Whole shards; at the array's end, up to its end.
            array: Voxels of the region.

        Returns:
            The digest of each shard.

        Raises:
            InputError: A shard cannot be written.
        """
        digests: Digests = {}
        with catch_write_errors(self.path, "free space, then start the same command again"):
            for shard in self._shards_of(region):
                file = self._file(shard)
                file.unlink(missing_ok=True)
                inner = tuple(
                    slice(part.start - outer.start, part.stop - outer.start)
                    for part, outer in zip(shard, region, strict=True)
                )
                self._node[tuple(shard)] = array[inner]
                digests[file.relative_to(self.path).as_posix()] = _synced_digest(file)
        return digests

    def holds(self, digests: Digests) -> bool:
        """Return whether the shards are those of earlier digests."""
        return all(_digest(self.path / name) == digest for name, digest in digests.items())

    def remove_partial_files(self) -> None:
        """Remove what killed processes left; nobody may write meanwhile."""
        for file in self.path.rglob(_PARTIAL):
            file.unlink(missing_ok=True)

    def _shards_of(self, region: Sequence[slice]) -> Iterator[list[slice]]:
        starts = []
        for part, edge, length in zip(region, self.shards, self.shape, strict=True):
            whole = part.start % edge == 0 and (part.stop % edge == 0 or part.stop == length)
            assert whole, f"{region} cuts shards of {self.shards}"
            starts.append(range(part.start, part.stop, edge))
        for corner in itertools.product(*starts):
            yield [
                slice(start, min(start + edge, length))
                for start, edge, length in zip(corner, self.shards, self.shape, strict=True)
            ]

    def _file(self, shard: Sequence[slice]) -> Path:
        places = [str(part.start // edge) for part, edge in zip(shard, self.shards, strict=True)]
        return self.path.joinpath("c", *places)


def _synced_digest(file: Path) -> str | None:
    """Flush a file to disk and return its digest; None where there is none."""
    try:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _digest(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None

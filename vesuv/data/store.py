"""Prepared cases on disk: one Zarr v3 group a case, read as plain memory maps.

Each array is one uncompressed chunk in C order, so that its chunk file is the array itself: a
patch is a slice of `numpy.memmap` without any decoding, and any Zarr v3 reader opens it too.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vesuv.config import Config
from vesuv.data.labels import IGNORE
from vesuv.data.records import CaseRecord, CensusRecord, IndexRecord, read_record
from vesuv.data.statistics import CaseStatistics, DatasetStatistics
from vesuv.errors import InputError

Array = npt.NDArray[Any]
Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]

VERSION = 1
BLOCK_SIZE = 16
"""Edge of the blocks that class counts are kept for, in voxels."""
INDEX = "store.json"
CENSUS = "census.json"


@dataclass(frozen=True)
class StoredCase:
    """One prepared case; light, picklable, and its arrays are opened when first asked for.

    Args:
        path: The case's Zarr group.
        id: Name of the case.
        group: What folds are grouped or stratified by; None when not known.
        shape: Voxels, (z, y, x).
        spacing: In the file's unit, (z, y, x).
        num_channels: Channels of the image.
        dtype: Type of the image on disk.
        statistics: Intensities of this case.
        values: Label value in the file -> voxels, before any resampling.
    """

    path: Path
    id: str
    group: str | None
    shape: Shape
    spacing: Spacing
    num_channels: int
    num_classes: int
    dtype: str
    statistics: CaseStatistics = field(repr=False)
    values: dict[int, int] = field(repr=False, compare=False)
    block_size: int = BLOCK_SIZE

    @property
    def image(self) -> Array:
        """Intensities as they came, (c, z, y, x), a read-only memory map.

        Raises:
            InputError: The file is damaged, or has become shorter since it was mapped.
        """
        return self._still_whole("image", self._image)

    @property
    def label(self) -> Array:
        """Class indices and `IGNORE`, (z, y, x) uint8, a read-only memory map.

        Raises:
            InputError: The file is damaged, or has become shorter since it was mapped.
        """
        return self._still_whole("label", self._label)

    @cached_property
    def _image(self) -> Array:
        return _map(self.path / "image", np.dtype(self.dtype), (self.num_channels, *self.shape))

    @cached_property
    def _label(self) -> Array:
        return _map(self.path / "label", np.dtype(np.uint8), self.shape)

    @property
    def block_counts(self) -> Array:
        """Voxels of each class in each block, (num_classes + 1, bz, by, bx) int64; last: valid.

        Made anew each time: kept, they would cost every loader process 0.2 MB for a case of 320³.
        """
        return self._blocks.astype(np.int64)

    @cached_property
    def _blocks(self) -> Array:
        blocks = tuple(-(-edge // self.block_size) for edge in self.shape)
        return _map(self.path / "blocks", np.dtype("<u2"), (self.num_classes + 1, *blocks))

    def _still_whole(self, name: str, mapped: Array) -> Array:
        """Look at the file's length: reading a map beyond its file's end kills the process."""
        chunk = _chunk(self.path / name, mapped.ndim)
        # A file that is gone stays readable for who has mapped it.
        if chunk.exists() and chunk.stat().st_size < mapped.nbytes:
            raise InputError(
                f"{chunk}: became shorter while it was read; prepare again with --overwrite"
            )
        return mapped

    def __getstate__(self) -> dict[str, Any]:
        """Leave memory maps behind: a loader process opens its own."""
        maps = ("_image", "_label", "_blocks")
        return {key: value for key, value in self.__dict__.items() if key not in maps}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore fields of the frozen class."""
        self.__dict__.update(state)


@dataclass(frozen=True)
class Store:
    """All prepared cases of a data set.

    Args:
        path: Folder of the store.
        cases: Case id -> case, sorted by id.
        census: What census.json holds.
        dataset_statistics: Foreground intensities pooled over all cases.
        fingerprint: Hash over settings and source files (names, sizes, times).
        settings: The settings that shaped the store, dotted key -> value.
        sources: Raw file below data.root -> [bytes, time of last change in ns].
    """

    path: Path
    cases: dict[str, StoredCase]
    census: dict[str, Any]
    dataset_statistics: DatasetStatistics
    fingerprint: str
    settings: dict[str, Any]
    sources: dict[str, list[int]] = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open a prepared store without reading a voxel.

        Raises:
            InputError: There is no complete store at `path`, or another version wrote it.
        """
        index = read_record(path / INDEX, IndexRecord, VERSION)
        cases = {case_id: open_case(case_path(path, case_id)) for case_id in index["cases"]}
        return cls(
            path=path,
            cases=cases,
            census=read_record(path / CENSUS, CensusRecord),
            dataset_statistics=DatasetStatistics.from_state(index["dataset_statistics"]),
            fingerprint=index["fingerprint"],
            settings=index["settings"],
            sources=index["sources"],
        )


def store_path(config: Config) -> Path:
    """Return the folder of the prepared cases that this configuration uses."""
    return Path(config.data.store) if config.data.store else Path("log/prepared") / config.name


def case_path(store: Path, case_id: str) -> Path:
    """Return the Zarr group of one case."""
    return store / "cases" / f"{case_id}.zarr"


def count_blocks(label: Array, num_classes: int, size: int = BLOCK_SIZE) -> Array:
    """Count each class in each block.

    Args:
        label: Class indices and `IGNORE`, (z, y, x).
        num_classes: Classes, background counted.
        size: Block edge in voxels, at most 16.

    Returns:
        (num_classes + 1, bz, by, bx) uint16; the last entry counts all valid voxels.
    """
    padding = [(0, -edge % size) for edge in label.shape]
    padded = np.pad(label, padding, constant_values=IGNORE) if any(p for _, p in padding) else label
    bz, by, bx = (edge // size for edge in padded.shape)
    counts = np.empty((num_classes + 1, bz, by, bx), np.uint16)
    for index in range(num_classes):
        mask = (padded == index).view(np.uint8)
        columns = mask.reshape(bz, size, by * size, bx * size).sum(axis=1, dtype=np.uint8)
        rows = columns.reshape(bz, by, size, bx * size).sum(axis=2, dtype=np.uint16)
        counts[index] = rows.reshape(bz, by, bx, size).sum(axis=3, dtype=np.uint16)
    counts[num_classes] = counts[:num_classes].sum(axis=0, dtype=np.uint16)
    return counts


def write_case(path: Path, arrays: dict[str, Array], attributes: dict[str, Any]) -> None:
    """Write one case as a Zarr v3 group, under another name first.

    Args:
        path: The group's folder; replaced when it exists.
        arrays: Array name -> array.
        attributes: JSON attributes of the group.
    """
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _write_json(
        partial / "zarr.json",
        {"zarr_format": 3, "node_type": "group", "attributes": attributes},
    )
    for name, array in arrays.items():
        _write_array(partial / name, array)
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


def _write_array(folder: Path, array: Array) -> None:
    """One Zarr v3 array in a single raw little-endian chunk."""
    folder.mkdir()
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    _write_json(
        folder / "zarr.json",
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(array.shape),
            "data_type": array.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(array.shape)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0.0 if array.dtype.kind == "f" else 0,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
            "attributes": {},
        },
    )
    chunk = _chunk(folder, array.ndim)
    chunk.parent.mkdir(parents=True)
    little.tofile(chunk)


def _chunk(folder: Path, ndim: int) -> Path:
    return folder.joinpath("c", *("0",) * ndim)


def _map(folder: Path, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
    chunk = _chunk(folder, len(shape))
    expected = math.prod(shape) * dtype.itemsize
    found = chunk.stat().st_size if chunk.is_file() else 0
    if found != expected:
        raise InputError(
            f"{chunk}: a damaged store: {expected} bytes expected, found {found}; "
            "prepare again with --overwrite"
        )
    return np.memmap(chunk, dtype.newbyteorder("<"), "r", shape=tuple(shape))


def open_case(path: Path) -> StoredCase:
    """Open one case from its group's attributes.

    Raises:
        InputError: There is none, or it is damaged.
    """
    attributes = read_record(path / "zarr.json", CaseRecord)["attributes"]
    if path.name != f"{attributes['id']}.zarr":
        raise InputError(
            f"{path}: a damaged store: holds case {attributes['id']!r:.60}; prepare again with "
            "--overwrite"
        )
    z, y, x = attributes["shape"]
    dz, dy, dx = attributes["spacing"]
    return StoredCase(
        path=path,
        id=attributes["id"],
        group=attributes["group"],
        shape=(z, y, x),
        spacing=(dz, dy, dx),
        num_channels=attributes["num_channels"],
        num_classes=attributes["num_classes"],
        dtype=attributes["dtype"],
        statistics=CaseStatistics.from_state(attributes["statistics"]),
        values={int(value): number for value, number in attributes["values"].items()},
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")

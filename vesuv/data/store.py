"""Prepared cases on disk: one Zarr v3 group for each case, read as memory maps.

Each array is one uncompressed chunk in C order, so that its chunk file holds exactly the array: a
patch is a slice of a `numpy.memmap`, without decoding, and any Zarr v3 reader can open it.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.config import Config
from vesuv.data.array_files import chunk_file, write_array, write_json
from vesuv.data.case import PreparedCase
from vesuv.data.records import (
    CaseAttributes,
    CaseRecord,
    DatasetSummary,
    IndexRecord,
    Stamp,
    read_record,
)
from vesuv.data.statistics import DatasetStatistics
from vesuv.errors import InputError, command
from vesuv.io.atomic import atomic_replace, is_temporary
from vesuv.migrations import STORE
from vesuv.types import Array, ClassArray

INDEX = "store.json"
SUMMARY = "summary.json"
FORMER_SUMMARY = "census.json"
"""Name of the summary in older stores."""
_OWN_FILE = re.compile(
    r"(store|summary|census|digests)\.json|folds(\.former)?\.yaml|cases/[^/]+\.zarr/(zarr\.json|"
    r"(image|label|native_label|blocks)/(zarr\.json|c/0/0/0(/0)?))"
)
"""Matches the files of a store, relative to its folder."""


@dataclass(frozen=True)
class StoredCase(PreparedCase):
    """A prepared case on disk; its arrays are mapped at first access and are not pickled.

    Args:
        attributes: Its properties without the voxels.
        path: The case's Zarr group.
    """

    path: Path

    @property
    def location(self) -> str:
        return str(self.path)

    @property
    def image(self) -> Array:
        """Unscaled intensities, (c, z, y, x), a read-only memory map.

        Raises:
            InputError: The file is damaged, or has become shorter since it was mapped.
        """
        return self._checked_length("image", self._image)

    @property
    def label(self) -> ClassArray:
        """Class indices and `IGNORE`, (z, y, x) uint8, a read-only memory map.

        Raises:
            InputError: The file is damaged, or has become shorter since it was mapped.
        """
        return self._checked_length("label", self._label)

    @property
    def stored_counts(self) -> Array:
        """Voxels of each class in each block, (num_classes + 1, bz, by, bx), a memory map."""
        return self._blocks

    @property
    def _resampled_native_label(self) -> ClassArray:
        return self._checked_length("native_label", self._native_label)

    @cached_property
    def _image(self) -> Array:
        return _map(self.path / "image", self.dtype, (self.num_channels, *self.shape))

    @cached_property
    def _label(self) -> ClassArray:
        return _map(self.path / "label", np.dtype(np.uint8), self.shape)

    @cached_property
    def _native_label(self) -> ClassArray:
        return _map(self.path / "native_label", np.dtype(np.uint8), self.native_shape)

    @cached_property
    def _blocks(self) -> Array:
        blocks = tuple(-(-edge // self.block_size) for edge in self.shape)
        return _map(self.path / "blocks", np.dtype("<u2"), (self.num_classes + 1, *blocks))

    def _checked_length(self, name: str, array: Array) -> Array:
        """Check the file's length: reading a memory map beyond the file's end kills the process."""
        chunk = chunk_file(self.path / name, array.ndim)
        # A deleted file stays readable in the process that mapped it.
        if chunk.exists() and chunk.stat().st_size < array.nbytes:
            raise InputError(
                f"{chunk}: became shorter while it was read; prepare again with --overwrite"
            )
        return array

    def __getstate__(self) -> dict[str, Any]:
        """Leave memory maps out; each loader process opens its own."""
        maps = ("_image", "_label", "_native_label", "_blocks")
        return {key: value for key, value in self.__dict__.items() if key not in maps}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


@dataclass(frozen=True)
class Store:
    """All prepared cases of a data set.

    Args:
        path: Folder of the store.
        cases: Case id -> case, sorted by id.
        summary: Label shares of the data set.
        dataset_statistics: Foreground intensities pooled over all cases.
        fingerprint: Hash over settings and contents of the source files; over their sizes and times
            in stores of former versions.
        settings: Settings that the store depends on, dotted key -> value.
        sources: Raw file or folder below data.root -> its stamp.
    """

    path: Path
    cases: dict[str, StoredCase]
    summary: DatasetSummary
    dataset_statistics: DatasetStatistics
    fingerprint: str
    settings: dict[str, Any]
    sources: dict[str, Stamp] = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open a prepared store without reading a voxel.

        Raises:
            InputError: `path` holds no complete store, or a store of a newer version.
        """
        index = read_record(path / INDEX, IndexRecord, STORE)
        cases = {case_id: open_case(case_path(path, case_id)) for case_id in index.cases}
        has_former_name = not (path / SUMMARY).is_file() and (path / FORMER_SUMMARY).is_file()
        return cls(
            path=path,
            cases=cases,
            summary=read_record(
                path / (FORMER_SUMMARY if has_former_name else SUMMARY), DatasetSummary
            ),
            dataset_statistics=index.dataset_statistics,
            fingerprint=index.fingerprint,
            settings=index.settings,
            sources=index.sources,
        )


def store_path(config: Config) -> Path:
    """Return the folder of the prepared cases that this configuration uses."""
    return Path(config.data.store) if config.data.store else Path("log/prepared") / config.name


def check_only_store(path: Path) -> None:
    """Refuse a store with files that preparation did not write, because it is to be replaced.

    Raises:
        InputError: Names one of them.
    """
    for parent, folders, files in os.walk(path):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted([*links, *files]):
            file = Path(parent) / name
            is_own = _OWN_FILE.fullmatch(file.relative_to(path).as_posix())
            if file.is_symlink() or not (is_own or is_temporary(name)):
                raise InputError(
                    f"{file}: was not written by {command('prepare')}, and --overwrite replaces "
                    "the whole store; move it elsewhere first"
                )


def case_path(store: Path, case_id: str) -> Path:
    """Return the Zarr group of one case."""
    return store / "cases" / f"{case_id}.zarr"


def open_case(path: Path) -> StoredCase:
    """Open one case by the attributes of its group.

    Raises:
        InputError: The case is missing or damaged.
    """
    attributes = read_record(path / "zarr.json", CaseRecord).attributes
    if path.name != f"{attributes.id}.zarr":
        raise InputError(
            f"{path}: a damaged store: holds case {attributes.id!r:.60}; prepare again with "
            "--overwrite"
        )
    return StoredCase(attributes, path)


def write_case(path: Path, attributes: CaseAttributes, arrays: Mapping[str, Array]) -> StoredCase:
    """Write one case as a Zarr v3 group, whole or not at all.

    Args:
        path: The group's folder; replaced when it exists.
        attributes: Attributes of the group.
        arrays: Array name -> array.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    with atomic_replace(path) as folder:
        folder.mkdir()
        for name, array in arrays.items():
            write_array(folder / name, array)
        write_attributes(folder, attributes)
    return StoredCase(attributes, path)


def write_attributes(folder: Path, attributes: CaseAttributes) -> None:
    """Write the attributes of a case, which make its folder a Zarr v3 group."""
    record = CaseRecord(zarr_format=3, node_type="group", attributes=attributes)
    write_json(folder / "zarr.json", record.content())


def _map(folder: Path, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
    chunk = chunk_file(folder, len(shape))
    expected = math.prod(shape) * dtype.itemsize
    size = chunk.stat().st_size if chunk.is_file() else 0
    if size != expected:
        raise InputError(
            f"{chunk}: a damaged store: {expected} bytes expected, found {size}; "
            "prepare again with --overwrite"
        )
    if not chunk.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"{chunk}: a damaged store: its files must lie in it, found {chunk.resolve()}; "
            "prepare again with --overwrite"
        )
    return np.memmap(chunk, dtype.newbyteorder("<"), "r", shape=tuple(shape))

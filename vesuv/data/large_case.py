"""Preparation of a case that is larger than memory, part by part.

The arrays are those of the whole volume: the file is read once (twice where it is resampled), each
part is written where it belongs, and the statistics are measured slice by slice in what was
written.
"""

from __future__ import annotations

import errno
import math
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vesuv.config.labels import LabelsConfig
from vesuv.data.array_files import ArrayFile, new_array_file, write_array
from vesuv.data.blocks import BLOCK_SIZE, count_blocks
from vesuv.data.case import Case
from vesuv.data.case_files import LazyCase
from vesuv.data.case_parts import read_image, read_label
from vesuv.data.moments import ChannelMoments
from vesuv.data.part_grid import part_regions
from vesuv.data.preparation import (
    case_attributes,
    checked_spacing,
    prefix_message,
    storable_part_type,
)
from vesuv.data.resample import resampled_shape
from vesuv.data.resample_region import RegionResampling, resample_label_region
from vesuv.data.statistics import case_statistics
from vesuv.data.store import StoredCase, write_attributes
from vesuv.io.atomic import atomic_replace
from vesuv.io.memory import give_back_freed_memory
from vesuv.types import Array, ClassArray, Region, Shape, Spacing

OnPart = Callable[[], None]
"""Called after each part."""


def prepare_large_case(
    volumes: LazyCase,
    labels: LabelsConfig,
    spacing: Spacing | None,
    path: Path,
    on_part: OnPart = lambda: None,
) -> StoredCase:
    """Prepare a case as `vesuv.data.preparation.prepare_arrays` does, and write it.

    Args:
        volumes: The case.
        labels: The label schema.
        spacing: Spacing to resample to; None keeps the case's own.
        path: Folder of the case, written whole or not at all.
        on_part: Called after each of the parts that `num_parts_of` counts.

    Raises:
        InputError: A file cannot be used, or the disk has too little space.
        OSError: The disk is full, or the folder cannot be written.
    """
    native = checked_spacing(volumes.case)
    target = spacing or native
    grids = _Grids.of(volumes, native, target)
    with atomic_replace(path) as folder, ExitStack() as files:
        folder.mkdir()
        work = _Work.begin(volumes, labels, grids, folder, files, on_part)
        values = work.write_resampled() if grids.is_resampled else work.write_parts()
        write_array(folder / "blocks", work.blocks)
        with prefix_message(volumes.names[0]):
            statistics = case_statistics(work.image.channels(), work.label.channels()[0])
        grid: dict[str, object] = {"shape": grids.working, "spacing": target}
        if grids.is_resampled or native != target:
            grid |= {"native_shape": grids.native, "native_spacing": native}
        attributes = case_attributes(
            volumes.case,
            **grid,
            num_channels=work.image.shape[0],
            num_classes=labels.num_classes,
            dtype=work.image.dtype.name,
            values=values,
            statistics=statistics,
        )
        write_attributes(folder, attributes)
    return StoredCase(attributes, path)


def num_parts_of(volumes: LazyCase, spacing: Spacing | None) -> int:
    """Return how many parts a preparation has."""
    native = volumes.case.spacing
    return _Grids.of(volumes, native, spacing or native).num_parts


def check_large_case(
    volumes: LazyCase, labels: LabelsConfig, spacing: Spacing | None, on_part: OnPart
) -> Case:
    """Do the checks of `prepare_large_case` on all voxels, and write nothing.

    Returns:
        The case, without its voxels.

    Raises:
        InputError: A file cannot be used.
    """
    native = checked_spacing(volumes.case)
    grids = _Grids.of(volumes, native, spacing or native)
    for region in grids.native_parts():
        read_image(volumes, region)
        read_label(volumes, region, labels)
        on_part()
    for _ in range(grids.num_parts - len(grids.native_parts())):
        on_part()
    return volumes.case


@dataclass(frozen=True)
class _Grids:
    """The grid of a case's file and that of the store.

    Args:
        native: Shape of the file.
        working: Shape of the stored case.
        reads_slices: Whether the files are read slice by slice.
        num_channels: Channels of the image.
    """

    native: Shape
    working: Shape
    reads_slices: bool
    num_channels: int

    @classmethod
    def of(cls, volumes: LazyCase, native: Spacing, target: Spacing) -> _Grids:
        z, y, x = volumes.label.shape[1:]
        working = resampled_shape((z, y, x), native, target)
        return cls((z, y, x), working, volumes.reads_slices, volumes.image.shape[0])

    @property
    def is_resampled(self) -> bool:
        return self.native != self.working

    @property
    def num_parts(self) -> int:
        """Number of parts of a preparation."""
        num_working = len(self.working_parts()) if self.is_resampled else 0
        return len(self.native_parts()) + num_working

    def native_parts(self) -> list[Region]:
        return part_regions(self.native, self.num_channels, reads_slices=self.reads_slices)

    def working_parts(self) -> list[Region]:
        """Parts that depend on about as many voxels of the file as `native_parts` have."""
        return part_regions(
            self.working, self.num_channels, reads_slices=self.reads_slices, source=self.native
        )


@dataclass
class _Work:
    """The arrays of a case while they are written."""

    volumes: LazyCase
    labels: LabelsConfig
    grids: _Grids
    image: ArrayFile
    label: ArrayFile
    native_label: ArrayFile
    """The same as `label` where nothing is resampled."""
    on_part: OnPart
    blocks: Array = field(init=False)

    def __post_init__(self) -> None:
        edges = (-(-edge // BLOCK_SIZE) for edge in self.grids.working)
        self.blocks = np.zeros((self.labels.num_classes + 1, *edges), np.uint16)

    @classmethod
    def begin(
        cls,
        volumes: LazyCase,
        labels: LabelsConfig,
        grids: _Grids,
        folder: Path,
        files: ExitStack,
        on_part: OnPart,
    ) -> _Work:
        """Create the arrays.

        Raises:
            InputError: The disk has too little space for them.
        """
        dtype = storable_part_type(volumes.image.dtype)
        shape = (volumes.image.shape[0], *grids.working)
        num_bytes = math.prod(shape) * dtype.itemsize + math.prod(grids.working)
        num_bytes += math.prod(grids.native) if grids.is_resampled else 0
        _check_space(folder, num_bytes, volumes.case.id)

        def new(name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> ArrayFile:
            return files.enter_context(new_array_file(folder / name, shape, dtype))

        image, label = new("image", shape, dtype), new("label", grids.working, np.dtype(np.uint8))
        native_label = label
        if grids.is_resampled:
            native_label = new("native_label", grids.native, np.dtype(np.uint8))
        return cls(volumes, labels, grids, image, label, native_label, on_part)

    def write_parts(self) -> dict[int, int]:
        """Write image, label and counts of blocks; return the voxels of each label value."""
        values: Counter[int] = Counter()
        for region in self.grids.native_parts():
            self.image.write(region, read_image(self.volumes, region))
            classes, counts = read_label(self.volumes, region, self.labels)
            values.update(counts)
            self._write_label(region, classes)
            self._finish_part()
        return _sorted(values)

    def write_resampled(self) -> dict[int, int]:
        """Write the label of the file, then image, label and counts on the other grid."""
        values: Counter[int] = Counter()
        moments = [ChannelMoments() for _ in range(self.grids.num_channels)]
        for region in self.grids.native_parts():
            for one, channel in zip(moments, read_image(self.volumes, region), strict=True):
                one.add(channel)
            classes, counts = read_label(self.volumes, region, self.labels)
            values.update(counts)
            self.native_label.write(region, classes[np.newaxis])
            self._finish_part()
        limits = [(low, high) for _, _, low, high in (one.result() for one in moments)]
        image_grids = RegionResampling(self.grids.native, self.grids.working, "cubic")
        label_grids = RegionResampling(self.grids.native, self.grids.working, "linear")
        for region in self.grids.working_parts():
            image = read_image(self.volumes, image_grids.source_region(region))
            self.image.write(region, image_grids.apply_to_image(image, region, limits))
            label = self.native_label.read(label_grids.source_region(region))[0]
            num_classes = self.labels.num_classes
            self._write_label(
                region, resample_label_region(label, label_grids, region, num_classes)
            )
            self._finish_part()
        return _sorted(values)

    def _finish_part(self) -> None:
        give_back_freed_memory()
        self.on_part()

    def _write_label(self, region: Region, classes: ClassArray) -> None:
        self.label.write(region, classes[np.newaxis])
        z, y, x = (slice(part.start // BLOCK_SIZE, -(-part.stop // BLOCK_SIZE)) for part in region)
        self.blocks[:, z, y, x] = count_blocks(classes, self.labels.num_classes)


def _sorted(values: Counter[int]) -> dict[int, int]:
    return {value: values[value] for value in sorted(values)}


def _check_space(folder: Path, num_bytes: int, name: str) -> None:
    """Refuse a case that does not fit on the disk before hours of work."""
    free = shutil.disk_usage(folder).free
    if num_bytes > free:
        raise OSError(
            errno.ENOSPC,
            f"case {name} takes {num_bytes / 1e9:.3g} GB, the disk has {free / 1e9:.3g} GB",
        )

"""Survey of one case, part by part, so that the memory does not grow with the volume."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vesuv.data.case_files import LazyCase, are_lazy, file_names, open_case_files, read_case
from vesuv.data.case_paths import CasePaths
from vesuv.data.components import label_components
from vesuv.data.labels import ValueCounts, count_values, whole_numbers
from vesuv.data.moments import refuse_invalid
from vesuv.data.part_grid import PART_VOXELS, part_regions
from vesuv.data.preparation import prefix_message
from vesuv.diagnosis.probes.structure import thickness
from vesuv.errors import InputError
from vesuv.io.lazy.volume import ArrayVoxels, read_region
from vesuv.types import Array, Mask, Region, Shape

MAX_VALUES = 32
"""Largest number of label values; more are instances, not classes."""
_MAX_SECONDS = 60.0
"""No further part of a case is read after this time."""
_BOX = 96
"""Edge of the central box in which thickness is measured and pieces are counted."""
_SAMPLE_SIZE = 50_000
"""Voxels of a case from which the range of intensities is taken."""


@dataclass
class CaseSurvey:
    """What is kept of a case that was read."""

    image: str
    shape: Shape
    spacing: tuple[float, float, float]
    unit: str | None
    states_grid: bool
    num_channels: int
    dtype: str
    extent: tuple[float, float]
    values: ValueCounts
    border_values: ValueCounts
    thickness: dict[int, float]
    num_pieces: dict[int, int]

    @property
    def num_voxels(self) -> int:
        """Voxels that were read."""
        return sum(self.values.values())


def survey_case(files: CasePaths, *, measure_parts: bool) -> CaseSurvey:
    """Read a case; of one that takes longer than a minute, parts that are spread over it.

    Args:
        files: Its files.
        measure_parts: Whether to measure thickness and count pieces of each value.

    Raises:
        InputError: It cannot be read, or its label holds more values than classes can be.
    """
    volumes = _open(files)
    z, y, x = volumes.label.shape[1:]
    counts = _Counts((z, y, x))
    counts.read(volumes)
    if len(counts.values) > MAX_VALUES:
        raise InputError(
            f"{files.label}: labels of classes have at most {MAX_VALUES} values, found "
            f"{len(counts.values)}, as of instances; write one value for each class, such as 0 "
            "outside and 1 inside of the instances"
        )
    masks = _central_masks(volumes, list(counts.values)) if measure_parts else {}
    low, high = np.percentile(np.concatenate(counts.samples), (0.5, 99.5)).tolist()
    return CaseSurvey(
        image=files.images[0].name,
        shape=(z, y, x),
        spacing=volumes.case.spacing,
        unit=volumes.case.unit,
        states_grid=volumes.case.states_grid,
        num_channels=volumes.image.shape[0],
        dtype=volumes.case.image.dtype.name,
        extent=(low, high),
        values=dict(counts.values),
        border_values=dict(counts.border_values),
        thickness={value: thickness(mask) for value, mask in masks.items()},
        num_pieces={value: label_components(mask, 26)[1] for value, mask in masks.items()},
    )


def spread(num: int) -> list[int]:
    """Return all numbers below `num`, so ordered that every beginning is spread over them."""
    bits = max(1, (num - 1).bit_length())
    order = [int(format(i, f"0{bits}b")[::-1], 2) for i in range(1 << bits)]
    return [index for index in order if index < num]


def _open(files: CasePaths) -> LazyCase:
    """Open a case in parts where it has several and its formats allow it; else read it whole."""
    if are_lazy(files):
        with suppress(InputError):  # reading it as a whole says what is wrong
            volumes = open_case_files(files)
            if volumes.num_voxels * volumes.image.shape[0] > PART_VOXELS:
                return volumes
    case = read_case(files)
    image = case.image if case.image.ndim == 4 else case.image[np.newaxis]
    label = ArrayVoxels(case.label[np.newaxis])
    return LazyCase(case, ArrayVoxels(image), label, file_names(files))


@dataclass
class _Counts:
    """What is counted of the parts of a case."""

    shape: Shape
    values: Counter[int] = field(default_factory=Counter)
    border_values: Counter[int] = field(default_factory=Counter)
    samples: list[NDArray[np.float64]] = field(default_factory=list)

    def read(self, volumes: LazyCase) -> None:
        """Read the parts of a case.

        Raises:
            InputError: A part cannot be read, or training would refuse it.
        """
        start, image_name = time.monotonic(), volumes.names[0]
        channels = volumes.image.shape[0]
        regions = part_regions(self.shape, channels, reads_slices=volumes.reads_slices)
        places = _sample_places((channels, *self.shape))
        num_invalid = num_read = 0
        for index in spread(len(regions)):
            region = regions[index]
            image = read_region(volumes.image, region, image_name)
            if image.dtype.kind == "f":
                num_invalid += int(np.count_nonzero(~np.isfinite(image)))
            num_read += image.size
            self.samples.append(_sample(image, region, places))
            label = _read_label(volumes, region)
            self.values.update(count_values(label))
            self._count_faces(label, region)
            if time.monotonic() - start > _MAX_SECONDS:
                break
        with prefix_message(image_name):
            refuse_invalid(num_invalid, num_read)

    def _count_faces(self, label: Array, region: Region) -> None:
        """Count the voxels on the faces of the volume; an axis of one voxel has none."""
        axes = [axis for axis in range(3) if self.shape[axis] > 1] or [0]
        for axis in axes:
            for face in (0, self.shape[axis] - 1):
                if region[axis].start <= face < region[axis].stop:
                    plane = np.take(label, [face - region[axis].start], axis=axis)
                    self.border_values.update(count_values(plane.reshape(1, -1)))


def _sample_places(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the places (c, z, y, x) of every n-th voxel of an image."""
    size = int(np.prod(shape, dtype=np.int64))
    voxels = np.arange(0, size, max(1, size // _SAMPLE_SIZE))
    return np.stack(np.unravel_index(voxels, shape))


def _sample(image: Array, region: Region, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the intensities of a region at those places that lie in it."""
    starts = np.array([0, *(part.start for part in region)])[:, np.newaxis]
    local = places - starts
    is_inside = ((local >= 0) & (local < np.array(image.shape)[:, np.newaxis])).all(axis=0)
    values: NDArray[np.float64] = image[tuple(local[:, is_inside])].astype(np.float64)
    return values


def _read_label(volumes: LazyCase, region: Region) -> Array:
    label = read_region(volumes.label, region, volumes.names[1])[0]
    with prefix_message(volumes.names[1]):
        return whole_numbers(label)


def _central_masks(volumes: LazyCase, values: list[int]) -> dict[int, Mask]:
    """Return value -> mask in the middle of a label, for the values that lie there."""
    z, y, x = (
        slice(max(0, edge // 2 - _BOX // 2), min(edge, edge // 2 + _BOX // 2))
        for edge in volumes.label.shape[1:]
    )
    central = _read_label(volumes, (z, y, x))
    masks = {value: central == value for value in values}
    return {value: mask for value, mask in masks.items() if mask.any()}

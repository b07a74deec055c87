"""The volume that every format is read into, and the checks of all formats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vesuv.io.memory import MEMORY_SHARE, memory_limit
from vesuv.types import Array, Shape, Spacing

Origin = tuple[float, float, float]
NO_SPACING: Spacing = (1.0, 1.0, 1.0)
"""Spacing of a file that states none."""
IMAGE_2D_NDIM = 2
"""Axes of a file that holds one slice (y, x)."""


class FormatError(Exception):
    """A file is damaged or not supported; `read` adds the file's name."""


@dataclass(frozen=True)
class Volume:
    """One image or label of a file.

    Args:
        array: (z, y, x), or (c, z, y, x) where the file holds channels; the file's number type.
        spacing: Voxel edges along z, y, x in `unit`; 1 where the file states none.
        geometry: Header entries of the format, with which a mask is written.
        direction: Unit vectors of the axes z, y, x as the rows of a 3 x 3 matrix, components in
            (z, y, x) order; LPS coordinates for NIfTI, NRRD and MetaImage, None for the others.
        origin: Centre of the first voxel, (z, y, x) in `unit`, in the same coordinates; None where
            the file states none.
        unit: Unit of spacing and origin (pm, Å, nm, µm, mm, cm, m, in); None where the file states
            no known unit.
    """

    array: Array
    spacing: Spacing
    geometry: object
    direction: tuple[float, ...] | None = None
    origin: Origin | None = None
    unit: str | None = None

    @property
    def shape(self) -> Shape:
        """Spatial shape, (z, y, x)."""
        z, y, x = self.array.shape[-3:]
        return z, y, x

    @property
    def channels(self) -> Array:
        """The array with a channel axis in front, (c, z, y, x)."""
        return self.array if self.array.ndim == 4 else self.array[np.newaxis]

    @property
    def has_header(self) -> bool:
        """Whether the file states spacing, unit, direction or origin."""
        place = (self.direction, self.origin, self.unit)
        return self.spacing != NO_SPACING or any(part is not None for part in place)


def require_volume(array: Array, layout: str) -> Array:
    """Return the array if it is a volume: three or four dimensions of real numbers.

    Args:
        array: Candidate, (z, y, x) or (c, z, y, x).
        layout: How the file orders its axes, for the message.

    Raises:
        FormatError: Wrong number of dimensions, no voxel, or not real numbers.
    """
    if array.ndim not in (3, 4):
        raise FormatError(
            f"a volume has 3 dimensions (and channels in front), found {array.ndim} ({layout} "
            f"{tuple(array.shape)}); give a 3-D volume"
        )
    if array.size == 0:
        raise FormatError(f"a volume holds voxels, found shape {tuple(array.shape)}; replace it")
    if array.dtype.kind not in "biuf":
        raise FormatError(f"voxels are real numbers, found type {array.dtype}; convert the file")
    return array


def without_slice_axis(array: Array) -> Array:
    """Return a mask (1, y, x) as (y, x); probabilities (c, 1, y, x) keep their axes."""
    return array[0] if array.ndim == 3 and len(array) == 1 else array


def refuse_time_points(number: int) -> None:
    """Refuse a file that holds a time series.

    Raises:
        FormatError: The number of time points is above one.
    """
    if number > 1:
        raise FormatError(
            f"a volume has one time point, found {number}; save each as a file of its own, or name "
            "the axis z if these are slices"
        )


def check_claimed_size(
    shape: Sequence[int],
    itemsize: int,
    max_bytes: float = math.inf,
    memory_itemsize: int | None = None,
) -> None:
    """Refuse an impossible shape in a header before memory is allocated for it.

    Args:
        shape: Shape in the header.
        itemsize: Bytes of a voxel in the file.
        max_bytes: Upper bound of the file's decompressed bytes.
        memory_itemsize: Bytes that reading takes for a voxel; `itemsize` where left out.

    Raises:
        FormatError: The file cannot hold that many voxels, or they take too much memory.
    """
    num_voxels = math.prod(int(edge) for edge in shape)
    num_bytes = num_voxels * itemsize
    if num_bytes > max_bytes:
        raise FormatError(
            f"truncated or damaged: its header claims {tuple(shape)} voxels, {num_bytes} bytes, "
            f"and the file holds {max_bytes:.0f} at most; copy it again"
        )
    check_memory(f"its voxels {tuple(shape)}", num_voxels * (memory_itemsize or itemsize))


def check_memory(claimant: str, num_bytes: float) -> None:
    """Refuse what takes more than its share of the memory that is available now.

    Args:
        claimant: Subject of the sentence, plural: "its voxels (4, 4, 4)".
        num_bytes: Bytes that it takes.

    Raises:
        FormatError: It takes more than `vesuv.io.memory.memory_limit`.
    """
    limit = memory_limit()
    if num_bytes > limit:
        raise FormatError(
            f"{claimant} take {num_bytes / 2**30:.1f} GiB, one file may take {limit / 2**30:.1f} "
            f"GiB ({MEMORY_SHARE:.0%} of the available memory); cut the volume into smaller ones "
            "or free memory"
        )

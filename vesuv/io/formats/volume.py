"""What every format is read into."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Spacing = tuple[float, float, float]


class FormatError(Exception):
    """A file breaks its format; `read` adds the file's name."""


@dataclass(frozen=True)
class Volume:
    """One image or label as it came.

    Args:
        array: (z, y, x), or (c, z, y, x) where the file holds channels; the file's own type.
        spacing: Voxel edges in the file's unit, (z, y, x); 1 where the file says nothing.
        geometry: The format's own record of place and orientation, for writing alike.
        direction: Unit vectors of the axes as the rows of a 3 x 3 matrix, in the format's own
            coordinates; None where it knows no orientation.
    """

    array: Array
    spacing: Spacing
    geometry: object
    direction: tuple[float, ...] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Spatial shape, (z, y, x)."""
        z, y, x = self.array.shape[-3:]
        return z, y, x

    @property
    def channels(self) -> Array:
        """The array with a channel axis in front, (c, z, y, x)."""
        return self.array if self.array.ndim == 4 else self.array[np.newaxis]


def require_volume(array: Array, layout: str) -> Array:
    """Return a three- or four-dimensional array that holds numbers, or say why it is none.

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


DEFLATE_RATIO = 1032
"""Bytes that deflate (zlib, gzip) can make of one."""


def check_claim(shape: Sequence[int], itemsize: int, present: float = math.inf) -> None:
    """Refuse what a header claims before memory is taken for it.

    Args:
        shape: Edges that the header claims.
        itemsize: Bytes of a voxel.
        present: The most bytes that the file can be unpacked to.

    Raises:
        FormatError: The file cannot hold as much, or the machine cannot.
    """
    claimed = math.prod(int(edge) for edge in shape) * itemsize
    if claimed > present:
        raise FormatError(
            f"truncated or damaged: its header claims {tuple(shape)} voxels, {claimed} bytes, and "
            f"the file holds {present:.0f} at most; copy it again"
        )
    memory = _memory()
    if claimed > memory:
        raise FormatError(
            f"its voxels {tuple(shape)} take {claimed / 2**30:.1f} GiB, this machine has "
            f"{memory / 2**30:.1f} GiB; cut it up"
        )


def _memory() -> float:
    """Bytes of memory that the machine has; no limit where it does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf

"""Graph of the fragments of a volume: their sizes, and the boundary levels where they touch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesuv.types import Array

Names = NDArray[np.int64]


@dataclass(frozen=True)
class Contacts:
    """Pairs of touching fragments, each pair once.

    Sums of levels are whole numbers, so that they do not depend on the order of the blocks.
    """

    first: Names
    """Fragment with the lower name."""
    second: Names
    sums: NDArray[np.int64]
    """Sum of the faces' levels; the level of a face is the higher one of its two voxels."""
    counts: NDArray[np.int64]
    """Number of faces."""

    @classmethod
    def of(cls, first: Names, second: Names, sums: Array, counts: Array) -> Contacts:
        """Add up the faces of each pair; a fragment touches neither itself nor 0, which is none."""
        apart = (first != second) & (first > 0) & (second > 0)
        first, second, sums, counts = first[apart], second[apart], sums[apart], counts[apart]
        low, high = np.minimum(first, second), np.maximum(first, second)
        width = int(high.max()) + 1 if len(high) else 1
        pairs, places = np.unique(low * width + high, return_inverse=True)
        totals = [np.zeros(len(pairs), np.int64) for _ in range(2)]
        np.add.at(totals[0], places, sums)
        np.add.at(totals[1], places, counts)
        return cls(*np.divmod(pairs, width), *totals)

    def renamed(self, names: Names) -> Contacts:
        """Return the contacts after fragments were united.

        Args:
            names: New name of each fragment.
        """
        return Contacts.of(names[self.first], names[self.second], self.sums, self.counts)


def join_contacts(parts: Iterable[Contacts]) -> Contacts:
    """Return the contacts of a volume from those of its blocks."""
    columns = [
        np.concatenate(column)
        for column in zip(
            *((one.first, one.second, one.sums, one.counts) for one in parts), strict=True
        )
    ]
    return Contacts.of(*columns)


def measure_contacts(fragments: Array, levels: Array, overlap: tuple[int, int, int]) -> Contacts:
    """Return the contacts of fragments across voxel faces.

    Args:
        fragments: Fragment of each voxel of a block (z, y, x).
        levels: Boundary level of each voxel.
        overlap: Number of slices, 0 or 1, at the low end of each axis that belong to the block
            before; faces between voxels of these slices are counted there.
    """
    parts = []
    for axis in range(3):
        own = tuple(slice(0 if k == axis else overlap[k], None) for k in range(3))
        names, values = np.moveaxis(fragments[own], axis, 0), np.moveaxis(levels[own], axis, 0)
        apart = names[:-1] != names[1:]
        face_levels = np.maximum(values[:-1][apart], values[1:][apart]).astype(np.int64)
        faces = names[:-1][apart].astype(np.int64), names[1:][apart].astype(np.int64)
        parts.append(Contacts.of(*faces, face_levels, np.ones_like(face_levels)))
    return join_contacts(parts)

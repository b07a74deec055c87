"""Connections by edges and corners turned into connections by faces.

A measure with 6-connected foreground counts voxels that touch only at an edge or a corner as
separate. Therefore both voxels beside such an edge are filled, and all six around such a corner.
Filling one path only makes loops where neighbouring slices take different paths: 5,350 loops in
seven of the thinnest planes with normal (3, 5, 7) in 64³ voxels, against none.
"""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np

from vesuv.config.postprocess import Step
from vesuv.types import Mask, Shape, Spacing

_CORNERS = list(itertools.product((0, 1), repeat=3))

Corner = tuple[int, ...]


class DiagonalFill(Step):
    """Connect by faces the voxels that touch only at edges or corners."""

    name: Literal["diagonal_fill"] = "diagonal_fill"

    def __call__(self, volume: Mask, _spacing: Spacing) -> Mask:
        return diagonal_fill(volume)

    def halo(self, _spacing: Spacing) -> Shape:
        return 1, 1, 1


def diagonal_fill(mask: Mask) -> Mask:
    """Fill the voxels around every edge and corner that is the only connection of two voxels.

    26-connected components become 6-connected. The mask grows by one voxel at most, but sheets one
    or two voxels apart may touch afterwards.

    Source:
        As `bwmorph(mask, "diag")` in two dimensions.
    """
    filled = mask.copy()
    for axis in range(3):  # squares of four voxels, across this axis
        square = [c for c in _CORNERS if c[axis] == 0]
        for first in square[:2]:
            last = next(c for c in square if _differing(c, first) == 2)
            _fill_between(mask, filled, first, last, square, axis)
    for first in _CORNERS[:4]:
        last = next(c for c in _CORNERS if _differing(c, first) == 3)
        _fill_between(mask, filled, first, last, _CORNERS, None)
    return filled


def _fill_between(
    mask: Mask, filled: Mask, first: Corner, last: Corner, block: list[Corner], flat: int | None
) -> None:
    """Fill the blocks whose foreground is two opposite corners.

    Args:
        mask: Original mask.
        filled: Mask to change.
        first: One of the two corners.
        last: The opposite corner.
        block: All corners of a block.
        flat: Axis along which a block is one voxel thick; None for cubes.
    """
    others = [c for c in block if c not in (first, last)]
    is_diagonal = _corner(mask, first, flat) & _corner(mask, last, flat)
    for corner in others:  # a > b is: a and not b
        np.greater(is_diagonal, _corner(mask, corner, flat), out=is_diagonal)
    for corner in others:
        part = _corner(filled, corner, flat)
        np.logical_or(part, is_diagonal, out=part)


def _corner(volume: Mask, corner: Corner, flat: int | None) -> Mask:
    """Return a view of one corner of every block."""
    return volume[
        tuple(
            slice(None) if axis == flat else slice(side, length - 1 + side)
            for axis, (side, length) in enumerate(zip(corner, volume.shape, strict=True))
        )
    ]


def _differing(a: Corner, b: Corner) -> int:
    return sum(i != j for i, j in zip(a, b, strict=True))

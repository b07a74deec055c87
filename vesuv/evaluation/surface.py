"""Surface Dice: the share of both surfaces that lies near the other one.

A surface element sits at a corner where eight voxels meet; its area is that of the marching-cubes
polygons through them, on voxels of any edge lengths. What lies outside the volume is background. In
a volume of one slice the surface is the outline in the plane.

Source:
    Nikolov et al., Clinically applicable segmentation of head and neck anatomy for radiotherapy,
    JMIR 2021 (surface Dice at a tolerance).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vesuv.evaluation.measure import Column, Measure, Pair
from vesuv.evaluation.nearest import VOXELS, bounding_box, extended_axes, nearest_distances
from vesuv.types import Mask, Spacing

CornerCodes = NDArray[np.uint8]
"""At each corner where eight voxels meet: one bit a voxel."""

_AREA_VECTORS: dict[int, list[tuple[float, float, float]]] = {
    0b0: [],
    0b1: [(1 / 8, 1 / 8, 1 / 8)],
    0b11: [(1 / 2, 1 / 2, 0)],
    0b110: [(1 / 4, 1 / 4, 1 / 4)],
    0b111: [(1 / 2, 0, 0), (3 / 8, 3 / 8, 3 / 8)],
    0b1111: [(1, 0, 0)],
    0b10110: [(3 / 8, 3 / 8, 3 / 8)],
    0b10111: [(3 / 4, 3 / 4, 3 / 4)],
    0b11000: [(1 / 4, 1 / 4, 1 / 4)],
    0b11001: [(0, 1 / 2, 1 / 2), (1 / 8, 1 / 8, 1 / 8)],
    0b11011: [(1 / 2, 1 / 2, 1 / 2), (0, 1 / 4, 1 / 4), (1 / 4, 0, 1 / 4)],
    0b11110: [(1 / 2, 0, 0), (1 / 2, 1 / 2, 1 / 2)],
    0b111100: [(1, 1, 0)],
    0b1101001: [(1 / 2, 1 / 2, 1 / 2)],
}
"""Polygons by the smallest code among those that mirroring, turning and inverting make of one: area
times absolute normal along z, y, x, on voxels of edge 1; polygons of one such normal are summed."""


def surface_dice(
    prediction: Mask,
    label: Mask,
    tolerances: Sequence[float],
    valid: Mask | None = None,
    spacing: Spacing = VOXELS,
) -> tuple[float, ...]:
    """Return the surface Dice at each tolerance.

    Args:
        prediction: Foreground (z, y, x).
        label: Foreground, same shape.
        tolerances: Largest distance between surface elements that count as near, in the unit of
            the spacing.
        valid: Where given, elements that touch a voxel outside it belong to neither surface.
        spacing: Voxel edges along z, y, x; by default lengths are in voxels.

    Returns:
        A share for each tolerance: 1 when both have no surface (both empty, nothing valid), 0 when
        one has none.
    """
    box = bounding_box(prediction | label, margin=1)  # ignored voxels beside them count
    if box is None:
        return (1.0,) * len(tolerances)
    axes = extended_axes(label.shape)
    parts = [_codes(mask[box], axes) for mask in (prediction, label)]
    if valid is not None:
        judged = _codes(valid[box], axes, outside=True) == 255
        parts = [np.where(judged, part, 0).astype(np.uint8) for part in parts]
    borders = [(part != 0) & (part != 255) for part in parts]
    table = _areas(spacing)
    areas = [table[part[border]] for part, border in zip(parts, borders, strict=True)]
    total = float(areas[0].sum() + areas[1].sum())
    if total == 0.0:
        return (1.0,) * len(tolerances)
    near = np.zeros(len(tolerances))
    limits = np.array(tolerances)
    for index in (0, 1):
        distances = nearest_distances(
            borders[index], borders[1 - index], spacing, limits.max(initial=0.0)
        )
        near += [areas[index][distances <= limit].sum() for limit in limits * (1 + 1e-9)]
    return tuple((near / total).tolist())


def _codes(mask: Mask, axes: Sequence[int], *, outside: bool = False) -> CornerCodes:
    """Return one bit for each of the eight voxels that meet at a corner, (z+1, y+1, x+1).

    Along other axes than `axes` a slice is its own neighbour, so that it has no faces there.
    """
    pads = [(int(axis in axes),) * 2 for axis in range(3)]
    mask = np.pad(mask, pads, constant_values=outside)
    voxels = np.pad(mask, [(1 - pad, 1 - pad) for pad, _ in pads], mode="edge").view(np.uint8)
    codes = voxels[:-1] | (voxels[1:] << 4)
    codes = codes[:, :-1] | (codes[:, 1:] << 2)
    codes = codes[:, :, :-1] | (codes[:, :, 1:] << 1)
    return codes.astype(np.uint8, copy=False)


@lru_cache(maxsize=16)
def _areas(spacing: Spacing) -> NDArray[np.float64]:
    """Return the area for each of the 256 codes, in the squared unit of the spacing."""
    corners = list(itertools.product((0, 1), repeat=3))
    z, y, x = spacing
    faces = np.array([y * x, z * x, z * y])
    areas = np.empty(256)
    for axes in itertools.permutations(range(3)):
        table = {
            code: sum(float(np.linalg.norm(np.take(vector, axes) * faces)) for vector in vectors)
            for code, vectors in _AREA_VECTORS.items()
        }
        for flip in itertools.product((0, 1), repeat=3):
            sources = [
                corners.index(tuple(corner[axis] ^ flip[axis] for axis in axes))
                for corner in corners
            ]
            for code in range(256):
                image = sum((code >> source & 1) << bit for bit, source in enumerate(sources))
                image = min(image, 255 - image)
                if image in table:
                    areas[code] = table[image]
    return areas


def surface_dice_measure(tolerance: str) -> Measure:
    """Return the measure surface_dice@<tolerance>.

    Args:
        tolerance: In the unit of the spacing, as in "1.5", or in voxels, as in "1.5vox".
    """
    number, in_voxels = float(tolerance.removesuffix("vox")), tolerance.endswith("vox")

    def values(pair: Pair) -> tuple[float, ...]:
        spacing = VOXELS if in_voxels else pair.spacing
        if pair.ignored_voxels == "excluded":
            return surface_dice(pair.prediction, pair.label, (number,), pair.valid, spacing)
        return surface_dice(pair.judged_prediction, pair.label, (number,), None, spacing)

    name = f"surface_dice@{tolerance}"
    short_name = f"SD@{tolerance}"
    column = Column(name, "higher", headline=True, short_name=short_name, has_unit=not in_voxels)
    return Measure(name, (column,), values)

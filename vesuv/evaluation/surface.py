"""Surface Dice: the share of both surfaces that lies near the other one.

A surface element sits at a corner where eight voxels meet; its area is that of the marching-cubes
polygon through them. What lies outside the volume is background. All lengths are in voxels.

Source:
    Nikolov et al., Clinically applicable segmentation of head and neck anatomy for radiotherapy,
    JMIR 2021 (surface Dice at a tolerance).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vesuv.evaluation.measure import Column, Measure, Pair
from vesuv.types import Mask

CornerCodes = NDArray[np.uint8]
"""At each corner where eight voxels meet: one bit a voxel."""

_AREAS = {
    0b0: 0.0,
    0b1: math.sqrt(3) / 8,
    0b11: math.sqrt(2) / 2,
    0b110: math.sqrt(3) / 4,
    0b111: 1 / 2 + 3 * math.sqrt(3) / 8,
    0b1111: 1.0,
    0b10110: 3 * math.sqrt(3) / 8,
    0b10111: 3 * math.sqrt(3) / 4,
    0b11000: math.sqrt(3) / 4,
    0b11001: math.sqrt(2) / 2 + math.sqrt(3) / 8,
    0b11011: math.sqrt(2) / 2 + math.sqrt(3) / 2,
    0b11110: 1 / 2 + math.sqrt(3) / 2,
    0b111100: math.sqrt(2),
    0b1101001: math.sqrt(3) / 2,
}
"""Area by the smallest code among those that mirroring, turning and inverting make of one."""


def surface_dice(
    prediction: Mask, label: Mask, tolerances: Sequence[float], valid: Mask | None = None
) -> tuple[float, ...]:
    """Return the surface Dice at each tolerance.

    Args:
        prediction: Foreground (z, y, x).
        label: Foreground, same shape.
        tolerances: Largest distance between surface elements that count as near, in voxels.
        valid: Where given, elements that touch a voxel outside it belong to neither surface.

    Returns:
        A share for each tolerance: 1 when both have no surface (both empty, nothing valid), 0 when
        one has none.
    """
    box = _bounding_box(prediction, label)
    if box is None:
        return (1.0,) * len(tolerances)
    parts = [_codes(mask[box]) for mask in (prediction, label)]
    if valid is not None:
        judged = _codes(valid[box], outside=True) == 255
        parts = [np.where(judged, part, 0).astype(np.uint8) for part in parts]
    borders = [(part != 0) & (part != 255) for part in parts]
    areas = [_areas()[part[border]] for part, border in zip(parts, borders, strict=True)]
    total = float(areas[0].sum() + areas[1].sum())
    if total == 0.0:
        return (1.0,) * len(tolerances)
    shares = []
    for tolerance in tolerances:
        near = 0.0
        for index in (0, 1):
            reached = _reach(borders[1 - index], tolerance)[borders[index]]
            near += float(areas[index][reached].sum())
        shares.append(near / total)
    return tuple(shares)


def _bounding_box(prediction: Mask, label: Mask) -> tuple[slice, ...] | None:
    union = prediction | label
    box = []
    for axis in range(union.ndim):
        others = tuple(other for other in range(union.ndim) if other != axis)
        places = np.flatnonzero(union.any(axis=others))
        if len(places) == 0:
            return None
        box.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(box)


def _codes(mask: Mask, *, outside: bool = False) -> CornerCodes:
    """Return one bit for each of the eight voxels that meet at a corner, (z+1, y+1, x+1)."""
    voxels = np.pad(mask, 1, constant_values=outside).view(np.uint8)
    codes = voxels[:-1] | (voxels[1:] << 4)
    codes = codes[:, :-1] | (codes[:, 1:] << 2)
    codes = codes[:, :, :-1] | (codes[:, :, 1:] << 1)
    return codes.astype(np.uint8, copy=False)


def _reach(border: Mask, tolerance: float) -> Mask:
    """Mark what lies within a distance of a border: its union over the shifts of a digital ball."""
    limit = tolerance * tolerance * (1 + 1e-9)
    radius = math.floor(math.sqrt(limit))
    widths: dict[int, list[tuple[int, int]]] = {}
    steps = range(-radius, radius + 1)
    for shift in itertools.product(steps, steps):
        left = limit - shift[0] ** 2 - shift[1] ** 2
        if left >= 0:
            widths.setdefault(math.floor(math.sqrt(left)), []).append(shift)
    reached = np.zeros_like(border)
    line = border.copy()
    for width in range(radius + 1):
        if width:
            line[..., width:] |= border[..., :-width]
            line[..., :-width] |= border[..., width:]
        for shift in widths.get(width, []):
            _add_shifted(reached, line, shift)
    return reached


def _add_shifted(target: Mask, source: Mask, shift: tuple[int, int]) -> None:
    def ends(step: int) -> tuple[slice, slice]:
        if step >= 0:
            return slice(step, None), slice(0, -step or None)
        return slice(0, step), slice(-step, None)

    (to_z, from_z), (to_y, from_y) = ends(shift[0]), ends(shift[1])
    target[to_z, to_y] |= source[from_z, from_y]


@cache
def _areas() -> NDArray[np.float64]:
    """Return the area for each of the 256 codes."""
    corners = list(itertools.product((0, 1), repeat=3))
    moves = [
        [corners.index(tuple(corner[axis] ^ flip[axis] for axis in axes)) for corner in corners]
        for axes in itertools.permutations(range(3))
        for flip in itertools.product((0, 1), repeat=3)
    ]
    areas = np.empty(256)
    for code in range(256):
        bits = [(code >> bit) & 1 for bit in range(8)]
        images = [sum(bits[source] << bit for bit, source in enumerate(move)) for move in moves]
        areas[code] = _AREAS[min(min(image, 255 - image) for image in images)]
    return areas


def surface_dice_measure(tolerance: float) -> Measure:
    """Return the measure surface_dice@<tolerance>, in voxels."""
    name = f"surface_dice@{tolerance:g}"

    def values(pair: Pair) -> tuple[float, ...]:
        if pair.ignored_voxels == "excluded":
            return surface_dice(pair.prediction, pair.label, (tolerance,), pair.valid)
        return surface_dice(pair.judged_prediction, pair.label, (tolerance,))

    column = Column(name, "higher", headline=True, short_name=f"SD@{tolerance:g}")
    return Measure(name, (column,), values)

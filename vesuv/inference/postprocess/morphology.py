"""Opening and closing with balls and ellipsoids, by shifted copies of whole lines.

Opening clips the ball to the volume, so that it does not shorten a sheet at the border. Closing
takes voxels outside the volume as background, so that a sheet near the border does not grow to it.
Both are idempotent.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from vesuv.config.postprocess import Step
from vesuv.types import Mask, Shape

Radius = Annotated[int, Field(ge=0, le=50)]


class Opening(Step):
    """Remove foreground that no ball of this radius inside the mask covers."""

    name: Literal["opening"] = "opening"
    radius: Annotated[Radius, Field(ge=1)] = 1
    """Radius of the ball in voxels."""

    def __call__(self, volume: Mask) -> Mask:
        return opening(volume, self.radius)


class Closing(Step):
    """Fill background that no ellipsoid with these half-axes outside the mask covers."""

    name: Literal["closing"] = "closing"
    radius: tuple[Radius, Radius, Radius] = (1, 1, 1)
    """Half-axes (z, y, x); no closing along an axis with 0."""

    @model_validator(mode="after")
    def _some_extent(self) -> Closing:
        if not any(self.radius):
            raise ValueError("radius needs at least one half-axis above 0, found [0, 0, 0]")
        return self

    def __call__(self, volume: Mask) -> Mask:
        return closing(volume, self.radius)


def opening(mask: Mask, radius: int = 1) -> Mask:
    """Return the union of all balls of `radius` inside the mask."""
    radii = (radius, radius, radius)
    return dilate(erode(mask, radii), radii)


def closing(mask: Mask, radius: Shape = (1, 1, 1)) -> Mask:
    """Fill the background that no ellipsoid with half-axes (z, y, x) outside the mask covers."""
    padded = np.pad(mask, [(edge, edge) for edge in radius])
    inside = tuple(slice(edge, edge + n) for edge, n in zip(radius, mask.shape, strict=True))
    return erode(dilate(padded, radius), radius)[inside]


def dilate(mask: Mask, radii: Shape) -> Mask:
    """Return the voxels whose ellipsoid overlaps the mask."""
    return ~erode(~mask, radii)


def erode(mask: Mask, radii: Shape) -> Mask:
    """Return the voxels whose ellipsoid, clipped to the volume, lies inside the mask.

    An ellipsoid consists of lines along x. Erosion by lines of one length is computed once and then
    shifted: 35 passes over the volume for radius 3 instead of 122.
    """
    lines = _lines(radii)
    eroded, line = mask.copy(), mask.copy()
    for half in range(radii[2] + 1):
        if half:
            _and_shifted(line, mask, (0, 0, half))
            _and_shifted(line, mask, (0, 0, -half))
        for dz, dy in lines.get(half, []):
            _and_shifted(eroded, line, (dz, dy, 0))
    return eroded


def _lines(radii: Shape) -> dict[int, list[tuple[int, int]]]:
    """Return the offsets (z, y) of an ellipsoid's lines along x, by half-length."""
    z, y, x = radii
    lines: dict[int, list[tuple[int, int]]] = {}
    for dz in range(-z, z + 1):
        for dy in range(-y, y + 1):
            # in integers: (dz / z)² + (dy / y)² + (dx / x)² <= 1; a radius of 0 allows offset 0
            a, b = max(z, 1), max(y, 1)
            remainder = (a * b) ** 2 - (dz * b) ** 2 - (dy * a) ** 2
            if remainder >= 0:
                half = math.isqrt(remainder * x * x) // (a * b)
                lines.setdefault(half, []).append((dz, dy))
    return lines


def _and_shifted(target: Mask, source: Mask, offset: Shape) -> None:
    """Set each voxel of `target` to its conjunction with the voxel of `source` at `offset`."""
    target_slices, source_slices = [], []
    for step, length in zip(offset, target.shape, strict=True):
        if abs(step) >= length:
            return
        target_slices.append(slice(max(-step, 0), length - max(step, 0)))
        source_slices.append(slice(max(step, 0), length + min(step, 0)))
    part = target[tuple(target_slices)]
    np.logical_and(part, source[tuple(source_slices)], out=part)

"""Opening and closing with balls and ellipsoids, by shifted copies of whole lines.

Opening clips the ball to the volume, so that a sheet that leaves the volume is not worn at the rim;
closing counts what lies beyond as background, so that a sheet beside the rim does not grow to it.
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
    """Remove what a ball of this radius does not fit into."""

    name: Literal["opening"] = "opening"
    radius: Annotated[Radius, Field(ge=1)] = 1

    def __call__(self, volume: Mask) -> Mask:
        return opening(volume, self.radius)


class Closing(Step):
    """Fill what an ellipsoid with these half-axes does not fit into."""

    name: Literal["closing"] = "closing"
    radius: tuple[Radius, Radius, Radius] = (1, 1, 1)
    """Half-axes (z, y, x); 0 closes nothing along that axis."""

    @model_validator(mode="after")
    def _some_extent(self) -> Closing:
        if not any(self.radius):
            raise ValueError("radius needs at least one half-axis above 0, found [0, 0, 0]")
        return self

    def __call__(self, volume: Mask) -> Mask:
        return closing(volume, self.radius)


def opening(mask: Mask, radius: int = 1) -> Mask:
    """Keep the union of all balls of `radius` that fit into the mask."""
    radii = (radius, radius, radius)
    return dilate(erode(mask, radii), radii)


def closing(mask: Mask, radius: Shape = (1, 1, 1)) -> Mask:
    """Fill what no ellipsoid with half-axes `radius` (z, y, x) reaches from outside the mask."""
    padded = np.pad(mask, [(edge, edge) for edge in radius])
    inside = tuple(slice(edge, edge + n) for edge, n in zip(radius, mask.shape, strict=True))
    return erode(dilate(padded, radius), radius)[inside]


def dilate(mask: Mask, radii: Shape) -> Mask:
    """Mark the voxels whose ellipsoid meets the mask."""
    return ~erode(~mask, radii)


def erode(mask: Mask, radii: Shape) -> Mask:
    """Keep the voxels whose ellipsoid, clipped to the volume, lies in the mask.

    An ellipsoid is a bundle of lines along x. Lines of one length are eroded once, and then only
    shifted: radius 3 costs 35 passes over the volume, not 122.
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
    """Offsets (z, y) of an ellipsoid's lines along x by their half-length."""
    z, y, x = radii
    lines: dict[int, list[tuple[int, int]]] = {}
    for dz in range(-z, z + 1):
        for dy in range(-y, y + 1):
            # in whole numbers: (dz / z)² + (dy / y)² + (dx / x)² <= 1, an axis of radius 0 apart
            a, b = max(z, 1), max(y, 1)
            room = (a * b) ** 2 - (dz * b) ** 2 - (dy * a) ** 2
            if room >= 0:
                half = math.isqrt(room * x * x) // (a * b)
                lines.setdefault(half, []).append((dz, dy))
    return lines


def _and_shifted(target: Mask, source: Mask, offset: Shape) -> None:
    """Clear each voxel of `target` for which `source` at `offset` from it is clear."""
    here, there = [], []
    for step, length in zip(offset, target.shape, strict=True):
        if abs(step) >= length:
            return
        here.append(slice(max(-step, 0), length - max(step, 0)))
        there.append(slice(max(step, 0), length + min(step, 0)))
    part = target[tuple(here)]
    np.logical_and(part, source[tuple(there)], out=part)

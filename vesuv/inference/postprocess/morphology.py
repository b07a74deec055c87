"""Opening and closing with balls and ellipsoids, by shifted copies of whole lines.

Opening clips the ball to the volume, so that it does not shorten a sheet at the border. Closing
takes voxels outside the volume as background, so that a sheet near the border does not grow to it;
a volume of one slice is closed in its plane. Both are idempotent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from vesuv.config.postprocess import Step
from vesuv.inference.postprocess.lengths import MAX_RADIUS, HalfAxes, half_axes
from vesuv.types import Mask, Shape, Spacing

Radius = Annotated[int, Field(ge=0, le=MAX_RADIUS)]
Distance = Annotated[float, Field(gt=0.0)]


class MorphologyStep(Step):
    """Base of opening and closing: half-axes in voxels, or one distance in the files' unit."""

    suffixes: ClassVar[Mapping[str, str]] = {"radius": " voxels", "distance": " {unit}"}
    radius: Radius | tuple[Radius, Radius, Radius] | None
    distance: Distance | None = None
    """Radius in the unit of the files' spacing, instead of `radius`: the voxels whose centres are
    within it, in any spacing. It spans at most 50 voxels."""

    @model_validator(mode="before")
    @classmethod
    def _distance_replaces_radius(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("distance") is not None:
            return {"radius": None, **values}
        return values

    @model_validator(mode="after")
    def _one_size(self) -> MorphologyStep:
        if (self.radius is None) == (self.distance is None):
            found = "neither" if self.radius is None else "both"
            raise ValueError(
                "needs either radius (in voxels) or distance (in the unit of the spacing), found "
                + found
            )
        return self

    def halo(self, spacing: Spacing) -> Shape:
        z, y, x = (2 * int(radius) for radius in self._half_axes(spacing))  # erosion and dilation
        return z, y, x

    def _half_axes(self, spacing: Spacing) -> HalfAxes:
        if self.distance is not None:
            return half_axes(self.name, self.distance, spacing)
        assert self.radius is not None
        return (self.radius,) * 3 if isinstance(self.radius, int) else self.radius


class Opening(MorphologyStep):
    """Remove foreground that no ball of this radius inside the mask covers."""

    name: Literal["opening"] = "opening"
    radius: Annotated[Radius, Field(ge=1)] | None = 1
    """Radius of the ball in voxels."""

    def __call__(self, volume: Mask, spacing: Spacing) -> Mask:
        return opening(volume, self._half_axes(spacing))


class Closing(MorphologyStep):
    """Fill background that no ellipsoid with these half-axes outside the mask covers."""

    name: Literal["closing"] = "closing"
    radius: tuple[Radius, Radius, Radius] | None = (1, 1, 1)
    """Half-axes (z, y, x) in voxels; no closing along an axis with 0."""

    @model_validator(mode="after")
    def _some_extent(self) -> Closing:
        if self.radius is not None and not any(self.radius):
            raise ValueError("radius needs at least one half-axis above 0, found [0, 0, 0]")
        return self

    def __call__(self, volume: Mask, spacing: Spacing) -> Mask:
        return closing(volume, self._half_axes(spacing))


def opening(mask: Mask, radii: HalfAxes = (1, 1, 1)) -> Mask:
    """Return the union of all ellipsoids inside the mask."""
    return dilate(erode(mask, radii), radii)


def closing(mask: Mask, radii: HalfAxes = (1, 1, 1)) -> Mask:
    """Fill the background that no ellipsoid outside the mask covers; of one slice in its plane."""
    z, y, x = (radius if n > 1 else 0 for radius, n in zip(radii, mask.shape, strict=True))
    radii, edges = (z, y, x), [int(z), int(y), int(x)]
    padded = np.pad(mask, [(edge, edge) for edge in edges])
    inside = tuple(slice(edge, edge + n) for edge, n in zip(edges, mask.shape, strict=True))
    return erode(dilate(padded, radii), radii)[inside]


def dilate(mask: Mask, radii: HalfAxes) -> Mask:
    """Return the voxels whose ellipsoid overlaps the mask."""
    return ~erode(~mask, radii)


def erode(mask: Mask, radii: HalfAxes) -> Mask:
    """Return the voxels whose ellipsoid, clipped to the volume, lies inside the mask.

    An ellipsoid consists of lines along x. Erosion by lines of one length is computed once and then
    shifted: 35 passes over the volume for radius 3 instead of 122.
    """
    lines = _lines(radii)
    eroded, line = mask.copy(), mask.copy()
    for half in range(int(radii[2]) + 1):
        if half:
            _and_shifted(line, mask, (0, 0, half))
            _and_shifted(line, mask, (0, 0, -half))
        for dz, dy in lines.get(half, []):
            _and_shifted(eroded, line, (dz, dy, 0))
    return eroded


@lru_cache(maxsize=64)
def _lines(radii: HalfAxes) -> dict[int, list[tuple[int, int]]]:
    """Return the offsets (z, y) of an ellipsoid's lines along x, by half-length."""
    # Fractions are exact: no voxel at the surface depends on rounding.
    one, (z, y, x) = Fraction(1), (Fraction(radius) for radius in radii)
    lines: dict[int, list[tuple[int, int]]] = {}
    for dz in range(-int(z), int(z) + 1):
        for dy in range(-int(y), int(y) + 1):
            # (dz / z)² + (dy / y)² + (dx / x)² <= 1; a half-axis below 1 allows offset 0
            remainder = 1 - (dz / max(z, one)) ** 2 - (dy / max(y, one)) ** 2
            if remainder >= 0:
                half = math.isqrt(math.floor(remainder * x * x))
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

"""Sizes of post-processing in the unit of the spacing, as voxels of one volume."""

from __future__ import annotations

import math

from vesuv.errors import InputError
from vesuv.types import Spacing

HalfAxes = tuple[float, float, float]
"""Half-axes of an ellipsoid along z, y, x, in voxels."""

MAX_RADIUS = 50
"""Longest half-axis, in voxels."""

_ROUNDING = 1e-6
"""Files store a spacing of 0.1 as 0.10000000149: sizes are compared to one part in a million."""


def num_voxels(volume: float, spacing: Spacing) -> int:
    """Return the smallest number of voxels whose volume is at least `volume`."""
    return max(1, math.ceil(volume / math.prod(spacing) * (1 - _ROUNDING)))


def half_axes(step: str, distance: float, spacing: Spacing) -> HalfAxes:
    """Return the ellipsoid of voxels whose centres are within a distance.

    Args:
        step: Name of the step, for the message.
        distance: In the unit of the spacing.
        spacing: Voxel edges (z, y, x).

    Raises:
        InputError: A half-axis is longer than 50 voxels.
    """
    z, y, x = (distance * (1 + _ROUNDING) / edge for edge in spacing)
    if max(z, y, x) >= MAX_RADIUS + 1:
        edges = " x ".join(f"{edge:.3g}" for edge in spacing)
        raise InputError(
            f"inference.postprocess: {step}: distance must span at most {MAX_RADIUS} voxels, found "
            f"{distance:g}, which is {max(z, y, x):.0f} voxels at spacing {edges}; make it smaller"
        )
    return z, y, x

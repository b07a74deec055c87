"""Distances between two surfaces: the 95th percentile Hausdorff distance and the average.

The surface of a mask is its foreground voxels with a background 6-neighbour; what lies outside the
volume is background. Distances run between voxel centres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from vesuv.evaluation.run_graph import Mask


@dataclass(frozen=True)
class SurfaceDistances:
    """In the unit of the spacing. 0 when both masks are empty, infinite when one is."""

    hd95: float
    """The larger of the two directed 95th percentiles."""
    average: float
    """Mean over the surface voxels of both masks of the distance to the other surface."""


def surface_distances(
    prediction: Mask, label: Mask, spacing: Sequence[float] = (1.0, 1.0, 1.0)
) -> SurfaceDistances:
    """Measure how far the surfaces of two masks lie apart.

    Args:
        prediction: Foreground (z, y, x).
        label: Foreground, same shape.
        spacing: Voxel edge along each axis.
    """
    if not prediction.any() and not label.any():
        return SurfaceDistances(0.0, 0.0)
    if not prediction.any() or not label.any():
        return SurfaceDistances(math.inf, math.inf)
    surfaces = [mask & ~binary_erosion(mask) for mask in (prediction, label)]
    there = _distances(surfaces[0], surfaces[1], spacing)
    back = _distances(surfaces[1], surfaces[0], spacing)
    return SurfaceDistances(
        hd95=float(max(np.percentile(there, 95), np.percentile(back, 95))),
        average=float((there.sum() + back.sum()) / (len(there) + len(back))),
    )


def _distances(start: Mask, goal: Mask, spacing: Sequence[float]) -> NDArray[np.float64]:
    field = np.asarray(distance_transform_edt(~goal, sampling=spacing))
    return field[start]

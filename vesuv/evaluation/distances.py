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

from vesuv.evaluation.measure import Column, Measure, Pair
from vesuv.types import Mask


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
    to_label = _distances(surfaces[0], surfaces[1], spacing)
    to_prediction = _distances(surfaces[1], surfaces[0], spacing)
    both = np.concatenate([to_label, to_prediction])
    return SurfaceDistances(
        hd95=float(max(np.percentile(to_label, 95), np.percentile(to_prediction, 95))),
        average=float(both.mean()),
    )


def _distances(surface: Mask, goal: Mask, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the distance to the goal of each voxel of a surface."""
    field = np.asarray(distance_transform_edt(~goal, sampling=spacing))
    return field[surface]


def _of_pair(pair: Pair) -> SurfaceDistances:
    return surface_distances(pair.judged_prediction, pair.label, pair.spacing)


HD95 = Measure(
    "hd95",
    (Column("hd95", "lower", headline=True),),
    lambda pair: (pair.shared(_of_pair).hd95,),
)
ASSD = Measure(
    "assd",
    (Column("assd", "lower", headline=True),),
    lambda pair: (pair.shared(_of_pair).average,),
)

"""Distances between two surfaces: the 95th percentile Hausdorff distance and the average.

The surface of a mask is its foreground voxels with a background 6-neighbour; what lies outside the
volume is background. In a volume of one slice it is the outline in the plane. Distances run between
voxel centres, and every surface voxel counts alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vesuv.evaluation.measure import Column, Measure, Pair
from vesuv.evaluation.nearest import (
    VOXELS,
    bounding_box,
    extended_axes,
    nearest_distances,
    surface_voxels,
)
from vesuv.types import Mask, Spacing


@dataclass(frozen=True)
class SurfaceDistances:
    """In the unit of the spacing. 0 when both masks are empty, infinite when one is."""

    hd95: float
    """The larger of the two directed 95th percentiles."""
    average: float
    """Mean over the surface voxels of both masks of the distance to the other surface."""


def surface_distances(prediction: Mask, label: Mask, spacing: Spacing = VOXELS) -> SurfaceDistances:
    """Measure how far the surfaces of two masks lie apart.

    Args:
        prediction: Foreground (z, y, x).
        label: Foreground, same shape.
        spacing: Voxel edges along z, y, x.
    """
    box = bounding_box(prediction | label)
    if box is None:
        return SurfaceDistances(0.0, 0.0)
    if not prediction.any() or not label.any():
        return SurfaceDistances(math.inf, math.inf)
    axes = extended_axes(label.shape)
    surfaces = [surface_voxels(mask[box], axes) for mask in (prediction, label)]
    to_label = nearest_distances(surfaces[0], surfaces[1], spacing)
    to_prediction = nearest_distances(surfaces[1], surfaces[0], spacing)
    both = np.concatenate([to_label, to_prediction])
    return SurfaceDistances(
        hd95=float(max(np.percentile(to_label, 95), np.percentile(to_prediction, 95))),
        average=float(both.mean()),
    )


def _of_pair(pair: Pair) -> SurfaceDistances:
    return surface_distances(pair.judged_prediction, pair.label, pair.spacing)


HD95 = Measure(
    "hd95",
    (Column("hd95", "lower", headline=True, has_unit=True),),
    lambda pair: (pair.shared(_of_pair).hd95,),
)
ASSD = Measure(
    "assd",
    (Column("assd", "lower", headline=True, has_unit=True),),
    lambda pair: (pair.shared(_of_pair).average,),
)

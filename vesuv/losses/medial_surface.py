"""Medial surface of sheets."""

from __future__ import annotations

import torch
from torch import Tensor

from vesuv.losses.distance import AXES

MAX_DISTANCE = 16
"""Distances along an axis are counted up to this one; a power of two."""
MAX_THICKNESS = 2 * (MAX_DISTANCE - 1) - 1
"""Thickness in voxels up to which every sheet along the axes has a medial surface."""


def medial_surface(mask: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the ridge of the distance to the background along the dominant normal, boolean.

    Distances are counted along the axes, in both directions. The axis of the dominant normal is
    that of the smallest distance. A voxel is medial if no background is nearer on one side of that
    axis than on the other, up to one voxel: a sheet has one medial layer, or two if its thickness
    is even. It ends less than half the thickness before a rim of the sheet. At the volume's edge
    and at voxels that are not valid it does not end, because beyond them no background is known.

    Args:
        mask: Boolean, (..., z, y, x), False where not valid.
        valid: Boolean, of a shape that broadcasts to the mask's; None: all are.
    """
    foreground = (mask if valid is None else mask | ~valid).to(torch.uint8)
    nearest = torch.full_like(foreground, MAX_DISTANCE)
    farther_sides = []
    for axis in AXES:
        lower, upper = (_distance(foreground, axis, towards_lower=side) for side in (True, False))
        nearest = torch.minimum(nearest, torch.minimum(lower, upper))
        farther_sides.append(torch.maximum(lower, upper))
    limit = nearest.add_(1).clamp_(max=MAX_DISTANCE - 1)
    medial = mask.clone()
    return medial.logical_and_(
        (farther_sides[0] <= limit) | (farther_sides[1] <= limit) | (farther_sides[2] <= limit)
    )


def _distance(foreground: Tensor, axis: int, *, towards_lower: bool) -> Tensor:
    """Distance to the next background in one direction, at most `MAX_DISTANCE`; 0 on background.

    Each pass doubles the distance up to which the result is exact.
    """
    distance, reach, size = foreground, 1, foreground.shape[axis]
    while reach < MAX_DISTANCE:
        step = min(reach, size)
        own_start, next_start = (step, 0) if towards_lower else (0, step)
        further = torch.full_like(distance, reach)  # beyond the edge there is no background
        next_voxels = distance.narrow(axis, next_start, size - step)
        further.narrow(axis, own_start, size - step).copy_(next_voxels)
        distance = distance + further.mul_(distance == reach)
        reach *= 2
    return distance

"""Exact Euclidean distance up to a reach, on any device, without SciPy."""

from __future__ import annotations

import torch
from torch import Tensor

AXES = (-3, -2, -1)


def squared_distance(sites: Tensor, reach: int) -> Tensor:
    """Squared distance of each voxel to the nearest site, exact up to `reach` voxels.

    One pass an axis: the squared distance is the least, over shifts k of at most `reach`, of the
    former axes' result k voxels away plus k squared. Integers of one byte do for a reach of ten.

    Args:
        sites: Boolean, (..., z, y, x).
        reach: Largest distance that is told apart.

    Returns:
        Integers of the same shape; (reach + 1)**2 wherever the nearest site is further or there
        is none.

    Source:
        Felzenszwalb and Huttenlocher 2012, Distance Transforms of Sampled Functions, section 2,
        with the lower envelope taken over a window.
    """
    beyond = (reach + 1) ** 2
    largest = beyond + reach**2
    dtype = torch.uint8 if largest < 2**8 else torch.int16 if largest < 2**15 else torch.int32
    squared = (~sites).to(dtype).mul_(beyond)
    for axis in AXES:
        squared = _least_along(squared, axis, reach)
    return squared


def boundary_distance(target: Tensor, valid: Tensor, reach: int) -> Tensor:
    """Distance of each valid voxel to the nearest valid voxel on the other side of the label.

    Args:
        target: Foreground, boolean, (b, c, z, y, x), False where not valid.
        valid: (b, 1, z, y, x).
        reach: Distances up to here are exact; all further ones are reach + 1.

    Returns:
        float32; without meaning on voxels that are not valid.
    """
    to_background = squared_distance(~target & valid, reach)
    to_foreground = squared_distance(target, reach)
    # One of the two is 0 on every valid voxel: the distance to itself.
    return torch.maximum(to_background, to_foreground).float().sqrt_()


def _least_along(squared: Tensor, axis: int, reach: int) -> Tensor:
    least = squared.clone()
    length = squared.shape[axis]
    for shift in range(1, min(reach, length - 1) + 1):
        raised = squared + shift**2
        rest = length - shift
        for ours, theirs in ((0, shift), (shift, 0)):
            here = least.narrow(axis, ours, rest)
            torch.minimum(here, raised.narrow(axis, theirs, rest), out=here)
    return least

"""Exact Euclidean distance transform up to a largest distance, on any device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vesuv.types import Spacing

AXES = (-3, -2, -1)


def squared_distance(sites: Tensor, reach: int) -> Tensor:
    """Squared distance of each voxel to the nearest site, exact up to `reach` voxels.

    One pass for each axis: the squared distance is the minimum, over shifts k of at most `reach`,
    of k**2 plus the former axes' result k voxels away. Up to a reach of ten, one byte holds it.

    Args:
        sites: Boolean, (..., z, y, x).
        reach: Largest distance that is computed.

    Returns:
        Integers of the same shape; where no site lies within `reach`, more than its square and at
        most (reach + 1)**2.

    Source:
        Felzenszwalb and Huttenlocher 2012, Distance Transforms of Sampled Functions, section 2,
        with the lower envelope taken over a window.
    """
    far = (reach + 1) ** 2
    largest = far + reach**2
    dtype = torch.uint8 if largest < 2**8 else torch.int16 if largest < 2**15 else torch.int32
    squared = (~sites).to(dtype).mul_(far)
    for axis in AXES:
        squared = _min_along_axis(squared, axis, [shift**2 for shift in range(1, reach + 1)])
    return squared


def boundary_distance(target: Tensor, valid: Tensor, reach: int) -> Tensor:
    """Distance of each valid voxel to the nearest valid voxel on the other side of the label.

    Args:
        target: Foreground, boolean, (b, c, z, y, x), False where not valid.
        valid: (b, 1, z, y, x).
        reach: Distances up to this one are exact; all larger ones are above it, at most reach + 1.

    Returns:
        float32; undefined on voxels that are not valid.
    """
    to_background = squared_distance(~target & valid, reach)
    to_foreground = squared_distance(target, reach)
    # On every valid voxel one of the two is 0: the voxel is its own nearest site.
    return torch.maximum(to_background, to_foreground).float().sqrt_()


def face_distance(sites: Tensor, edges: Spacing, reach: float) -> Tensor:
    """Distance from each voxel's centre to the nearest face of a site, at most `reach`; float32.

    A site is the box of its voxel. Along each axis a box k voxels away begins k - 1/2 edges away.

    Args:
        sites: Boolean, (..., z, y, x).
        edges: Voxel edges along z, y, x.
        reach: Largest distance, in the unit of the edges.

    Returns:
        0 on sites; `reach` where no site is nearer.
    """
    squared = (~sites).float().mul_(reach**2)
    for axis, edge in zip(AXES, edges, strict=True):
        num_shifts = math.ceil(reach / edge)
        additions = [((shift - 0.5) * edge) ** 2 for shift in range(1, num_shifts + 1)]
        squared = _min_along_axis(squared, axis, additions)
    return squared.sqrt_()


def distance_beyond_patch(shape: Sequence[int], edges: Spacing, device: torch.device) -> Tensor:
    """Distance from each voxel's centre to the nearest face of the patch, (z, y, x) float32.

    A patch of one slice is flat: beyond it lies nothing.
    """
    result = torch.full(tuple(shape), math.inf, device=device)
    for axis, (length, edge) in enumerate(zip(shape, edges, strict=True)):
        if length > 1:
            index = torch.arange(length, device=device)
            outside = (torch.minimum(index, length - 1 - index) + 0.5) * edge
            result = torch.minimum(
                result, outside.reshape([-1 if a == axis else 1 for a in range(3)])
            )
    return result


def _min_along_axis(squared: Tensor, axis: int, additions: Sequence[float]) -> Tensor:
    """Return the least of each value and of its neighbours along an axis.

    Args:
        squared: Squared distances.
        axis: Axis of `squared`.
        additions: What is added to the neighbours one voxel away, two voxels away, and so on.
    """
    minimum = squared.clone()
    length = squared.shape[axis]
    for shift, addition in enumerate(additions[: length - 1], start=1):
        candidates = squared + addition
        size = length - shift
        for start, source_start in ((0, shift), (shift, 0)):
            target = minimum.narrow(axis, start, size)
            torch.minimum(target, candidates.narrow(axis, source_start, size), out=target)
    return minimum

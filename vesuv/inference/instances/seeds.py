"""Places where the seeds of fragments may lie: the maxima of a smoothed distance."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from vesuv.types import Array, Mask, Spacing

_WINDOW = 5
"""Edge in voxels of the cube in which a seed has the largest distance."""


def smooth_distance(inside: Mask, spacing: Spacing, smoothing: float) -> Array:
    """Return the smoothed distance of each voxel to what is not inside; float32.

    Args:
        inside: (z, y, x); where all of it is inside, what surrounds it is not.
        spacing: Voxel edges along z, y, x.
        smoothing: Deviation of the smoothing; it and the distance are in shortest voxel edges.
    """
    shortest = min(spacing)
    edges = [edge / shortest for edge in spacing]
    is_full = bool(inside.all())
    padded = np.pad(inside, 1) if is_full else inside
    distance = ndimage.distance_transform_edt(padded, sampling=edges).astype(np.float32)
    if is_full:
        distance = distance[1:-1, 1:-1, 1:-1]
    smooth: Array = ndimage.gaussian_filter(distance, [smoothing / edge for edge in edges])
    return smooth


def local_maxima(distance: Array, inside: Mask) -> Mask:
    """Return the voxels inside that have the largest distance of the cube around them."""
    maxima: Mask = (distance == ndimage.maximum_filter(distance, _WINDOW)) & inside
    return maxima

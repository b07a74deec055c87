"""Distance from some voxels to the nearest of others, exact, on voxels of any edge lengths.

A distance transform of the whole volume answers for every voxel. Surfaces ask for a few percent of
them, and most of these lie close to the other surface: they look at their neighbours in order of
distance. The others ask a k-d tree, or the transform where they are many.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from vesuv.types import Mask, Spacing

VOXELS: Spacing = (1.0, 1.0, 1.0)
"""Spacing that gives distances in voxels."""

_NUM_NEIGHBOURS = 200
"""About the number of neighbours that every voxel looks at."""
_MAX_STEPS = 8
"""Voxels along the finest axis beyond which there are none of these neighbours."""
_VOXELS_A_QUERY = 32
"""Voxels that the distance transform covers in the time of one query of the tree."""
_VOXELS_A_WALK = 8
"""The same for the time in which a voxel looks at all neighbours."""
_ROUNDING = 1e-9
"""Share of the limit by which a distance may exceed it."""


def nearest_distances(
    voxels: Mask, targets: Mask, spacing: Spacing = VOXELS, limit: float = math.inf
) -> NDArray[np.float64]:
    """Return the distance of each voxel to the nearest target, between centres.

    Args:
        voxels: Voxels to ask for, (z, y, x).
        targets: Same shape.
        spacing: Voxel edges along z, y, x.
        limit: Largest distance of interest, in the unit of the spacing.

    Returns:
        Distances in the order of the voxels in memory; infinite beyond the limit.
    """
    limit *= 1 + _ROUNDING
    offsets, lengths = _ball(spacing)
    margins = np.abs(offsets).max(axis=0)
    pads = [(int(margin), int(margin)) for margin in margins]
    padded_targets = np.pad(targets, pads)
    _, height, width = shape = padded_targets.shape
    steps = offsets @ np.array([height * width, width, 1])
    flat_targets = padded_targets.reshape(-1)
    pending = np.flatnonzero(np.pad(voxels, pads))
    indices = np.arange(len(pending))
    distances = np.full(len(pending), math.inf)
    for num_steps, (step, length) in enumerate(zip(steps.tolist(), lengths.tolist(), strict=True)):
        if length > limit or not len(pending):
            return distances
        if num_steps > _NUM_NEIGHBOURS // 6 and len(pending) * _VOXELS_A_WALK > targets.size:
            break
        hits = flat_targets[pending + step]
        distances[indices[hits]] = length
        misses = ~hits
        pending, indices = pending[misses], indices[misses]
    if len(pending) and targets.any():
        places = np.stack(np.unravel_index(pending, shape)) - margins[:, None]
        far = _far_distances(places, targets, spacing, limit)
        distances[indices] = np.where(far <= limit, far, math.inf)
    return distances


def _ball(spacing: Spacing) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the offsets of a ball's voxels by distance, and their distances."""
    finest = min(spacing)
    radius = (_NUM_NEIGHBOURS * math.prod(spacing) * 3 / (4 * math.pi)) ** (1 / 3)
    radius = min(max(radius, finest), _MAX_STEPS * finest)
    steps = [np.arange(-int(radius / edge), int(radius / edge) + 1) for edge in spacing]
    offsets = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lengths = np.sqrt(((offsets * spacing) ** 2).sum(axis=1))
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] <= radius]
    return offsets[order], lengths[order]


def _far_distances(
    places: NDArray[np.int64], targets: Mask, spacing: Spacing, limit: float
) -> NDArray[np.float64]:
    """Return the distances of voxels, (3, n), by a k-d tree or by the distance transform."""
    if places.shape[1] * _VOXELS_A_QUERY > targets.size:
        transform: NDArray[np.float64] = distance_transform_edt(~targets, sampling=spacing)
        distances: NDArray[np.float64] = transform[tuple(places)]
        return distances
    tree = KDTree(np.argwhere(targets) * spacing, compact_nodes=False, balanced_tree=False)
    return np.asarray(tree.query(places.T * spacing, distance_upper_bound=limit)[0])


def extended_axes(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the axes along which a volume has more than one voxel.

    A volume of one slice is an image: its masks have outlines in the plane, and no faces towards
    the missing slices.
    """
    return tuple(axis for axis, edge in enumerate(shape) if edge > 1)


def surface_voxels(mask: Mask, axes: Sequence[int] = (0, 1, 2)) -> Mask:
    """Mark the voxels with a background neighbour; outside the volume is background.

    Args:
        mask: Foreground (z, y, x).
        axes: Axes along which voxels are neighbours, see `extended_axes`.
    """
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1, 1:-1].copy()
    for axis in axes:
        for shift in (slice(None, -2), slice(2, None)):
            neighbour = [slice(1, -1)] * 3
            neighbour[axis] = shift
            inner &= padded[tuple(neighbour)]
    return mask & ~inner


def bounding_box(mask: Mask, margin: int = 0) -> tuple[slice, slice, slice] | None:
    """Return the smallest box around a mask, widened within the volume; None for an empty mask."""
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(mask.any(axis=others))
        if len(places) == 0:
            return None
        box.append(slice(max(int(places[0]) - margin, 0), int(places[-1]) + 1 + margin))
    return box[0], box[1], box[2]

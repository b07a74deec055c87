"""Smooth random fields, of which phantoms are made."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


def smooth_field(rng: np.random.Generator, size: int, scale: float) -> Field:
    """Return a random cube (z, y, x) that varies over `scale` voxels.

    Its mean is 0; its deviation is 1 before interpolation.
    """
    coarse = rng.standard_normal((int(np.ceil(size / scale)) + 3,) * 3)
    grid = np.arange(size, dtype=np.float64) / scale + 1.0 + rng.uniform(0.0, 0.5)
    for axis in range(3):
        coarse = _interpolate(coarse, grid, axis)
    field: Field = (coarse / 0.6).astype(np.float32)
    return field


def _interpolate(
    values: NDArray[np.float64], at: NDArray[np.float64], axis: int
) -> NDArray[np.float64]:
    """Quadratic B-spline along one axis; unlike `ndimage.zoom` it is separable."""
    nearest = np.rint(at).astype(np.int64)
    offset = at - nearest
    weights = (0.5 * (0.5 - offset) ** 2, 0.75 - offset**2, 0.5 * (0.5 + offset) ** 2)
    shape = [1, 1, 1]
    shape[axis] = -1
    total = sum(
        np.take(values, nearest + shift, axis=axis) * weight.reshape(shape)
        for shift, weight in zip((-1, 0, 1), weights, strict=True)
    )
    return np.asarray(total)

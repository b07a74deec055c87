"""A phantom of touching balls, so that the instances of a foreground are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

PAIRS = (
    *(((12, 14, 12), 8.0), ((12, 14, 25), 7.0)),
    *(((12, 34, 14), 9.0), ((14, 36, 27), 6.0)),
    *(((30, 14, 14), 7.5), ((30, 24, 22), 7.0), ((30, 13, 30), 6.5)),
    ((32, 38, 36), 5.0),
)
"""Centres and radii: two pairs of two balls, three balls that touch in a row, and one alone."""


@dataclass(frozen=True)
class BallPhantom:
    """Balls of one volume (z, y, x)."""

    balls: np.ndarray
    """Ball 1, 2, … of each voxel, 0 outside; two that overlap meet at their neck."""
    probs: np.ndarray
    """Foreground probability, float32; near 1 on necks as within balls."""


def make_balls(
    shape: tuple[int, int, int] = (44, 48, 44),
    balls: Sequence[tuple[tuple[float, float, float], float]] = PAIRS,
    *,
    noise: float = 0.0,
    seed: int = 0,
) -> BallPhantom:
    """Make balls.

    Args:
        shape: Voxels along z, y, x.
        balls: Centres and radii.
        noise: Deviation of the noise of the probability.
        seed: Seed of the noise.
    """
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    distances = np.stack([np.linalg.norm(voxels - centre, axis=-1) for centre, _ in balls])
    radii = np.array([radius for _, radius in balls])[:, None, None, None]
    outside = (distances - radii).min(axis=0)
    nearest = (distances**2 - radii**2).argmin(axis=0)  # the plane through the circle of the neck
    probs = 1 / (1 + np.exp(3 * outside))
    if noise:
        random = np.random.default_rng(seed).normal(size=shape)
        probs = probs + noise * ndimage.gaussian_filter(random, 1.0)
    return BallPhantom(
        np.where(outside <= 0, nearest + 1, 0), np.clip(probs, 0, 1).astype(np.float32)
    )

"""What each step of `vesuv instances` does: for cells between walls, and for objects that touch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from docs.gallery.drawing import IMAGES, grey, write_row
from vesuv.data.components import label_components
from vesuv.inference.instances.arrays import segment_instances
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.report.instance_colours import painted_instances
from vesuv.types import Array

_SHAPE = (24, 56, 56)
_Z = 12
_NUM_CELLS = 14
_BALLS = (((12, 14, 14), 9.0), ((12, 15, 28), 7.0), ((12, 36, 13), 8.0), ((12, 42, 25), 7.5),
          ((12, 30, 42), 9.0), ((12, 44, 42), 7.0), ((12, 11, 46), 5.0))  # fmt: skip
"""Centres (z, y, x) and radii in voxels."""
_OBJECTS = InstanceParameters(
    foreground_threshold=0.5, seed_threshold=0.5, seed_smoothing=1.0, agglomeration_threshold=0.7
)


def main() -> None:
    """Draw a row for each part: the probability, and what becomes of it."""
    walls, balls = _walls(), _balls()
    cells = InstanceParameters(seed_smoothing=1.5)
    pieces = cells.model_copy(update={"agglomeration_threshold": 0.0})
    components = label_components(walls < 0.5, 6)[0]
    rows = {
        "cells": [
            ("probability of walls", _grey(walls)),
            ("components below 0.5", _painted(components)),
            ("fragments", _painted(segment_instances(walls, pieces))),
            ("cells", _painted(segment_instances(walls, cells))),
        ],
        "objects": [
            ("probability of objects", _grey(balls)),
            ("components from 0.5", _painted(label_components(balls >= 0.5, 26)[0])),
            ("objects", _painted(segment_instances(balls, _OBJECTS))),
        ],
        "agglomeration": [
            (f"united below {one:g}", _painted(_united(walls, one))) for one in (0.0, 0.3, 0.5, 0.9)
        ],
        "seed_smoothing": [
            (f"fragments, smoothed by {one:g}", _painted(_smoothed(walls, one)))
            for one in (0.5, 1.5, 3.0)
        ],
    }
    for name, panels in rows.items():
        write_row(IMAGES / "instances" / f"{name}.png", panels)


def _united(walls: Array, threshold: float) -> Array:
    parameters = InstanceParameters(seed_smoothing=1.5, agglomeration_threshold=threshold)
    return segment_instances(walls, parameters)


def _smoothed(walls: Array, sigma: float) -> Array:
    parameters = InstanceParameters(seed_smoothing=sigma, agglomeration_threshold=0.0)
    return segment_instances(walls, parameters)


def _voxels() -> Array:
    return np.stack(np.meshgrid(*map(np.arange, _SHAPE), indexing="ij"), axis=-1)


def _walls() -> Array:
    """Walls between the nearest neighbours of random points, with noise and a few holes."""
    rng = np.random.default_rng(5)
    points, voxels = rng.uniform(0, _SHAPE, (_NUM_CELLS, 3)), _voxels()
    distances, nearest = cKDTree(points).query(voxels, k=2)
    apart = np.linalg.norm(points[nearest[..., 0]] - points[nearest[..., 1]], axis=-1)
    to_wall = (distances[..., 1] ** 2 - distances[..., 0] ** 2) / (2 * apart)
    probs = 1 / (1 + np.exp(3 * (to_wall - 1.2)))
    holes = ndimage.gaussian_filter(rng.normal(size=_SHAPE), 2.0)
    probs *= np.where(holes > 1.6 * holes.std(), 0.2, 1.0)
    return _noisy(probs, rng)


def _balls() -> Array:
    outside = [np.linalg.norm(_voxels() - centre, axis=-1) - radius for centre, radius in _BALLS]
    probs = 1 / (1 + np.exp(3 * np.min(outside, axis=0)))
    return _noisy(probs, np.random.default_rng(1))


def _noisy(probs: Array, rng: np.random.Generator) -> Array:
    noise = 0.4 * ndimage.gaussian_filter(rng.normal(size=_SHAPE), 1.0)
    return np.clip(probs + noise, 0, 1).astype(np.float32)


def _grey(probs: Array) -> Array:
    return grey(probs[_Z], 0.0, 1.0)


def _painted(instances: Array) -> Array:
    names = instances[_Z].astype(np.int64)
    return np.where(names[..., None] > 0, painted_instances(names), 24.0)


if __name__ == "__main__":
    main()

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from vesuv.evaluation import nearest
from vesuv.evaluation.nearest import bounding_box, nearest_distances, surface_voxels
from vesuv.types import Spacing

SPACINGS = [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (0.5, 2.0, 1.0), (40.0, 1.0, 1.0), (1.0, 1.0, 1e-3)]


def brute_force(voxels: np.ndarray, targets: np.ndarray, spacing: Spacing) -> np.ndarray:
    places, others = (np.argwhere(mask) * spacing for mask in (voxels, targets))
    return np.linalg.norm(places[:, None] - others[None], axis=2).min(axis=1)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("share", [0.001, 0.05, 0.5])
def test_distances_are_those_of_brute_force(spacing: Spacing, share: float) -> None:
    rng = np.random.default_rng(0)
    voxels, targets = rng.random((2, 13, 21, 30)) < [[[[0.05]]], [[[share]]]]

    distances = nearest_distances(voxels, targets, spacing)

    np.testing.assert_allclose(distances, brute_force(voxels, targets, spacing), rtol=1e-12)


def test_many_far_voxels_are_measured_by_the_distance_transform(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(nearest, "KDTree")
    voxels, targets = np.zeros((2, 40, 8, 8), bool)
    voxels[10:] = True
    targets[0, 0, 0] = True
    spacing = (2.0, 1.0, 1.0)

    distances = nearest_distances(voxels, targets, spacing)

    np.testing.assert_allclose(distances, brute_force(voxels, targets, spacing))


@pytest.mark.parametrize("limit", [0.0, 2.0, 7.0, 11.0])
def test_what_is_beyond_the_limit_is_infinitely_far(limit: float) -> None:
    line = np.zeros((2, 1, 1, 20), bool)
    line[0] = line[1, 0, 0, 0] = True

    distances = nearest_distances(*line, limit=limit)

    assert distances.tolist() == [x if x <= limit else math.inf for x in range(20)]


def test_without_targets_everything_is_infinitely_far() -> None:
    voxels = np.ones((2, 2, 2), bool)

    assert nearest_distances(voxels, ~voxels).tolist() == [math.inf] * 8
    assert nearest_distances(~voxels, voxels).tolist() == []


def test_surface_voxels_are_those_that_an_erosion_takes() -> None:
    mask = np.random.default_rng(0).random((9, 8, 7)) < 0.8

    assert np.array_equal(surface_voxels(mask), mask & ~binary_erosion(mask))


def test_a_box_is_widened_within_the_volume() -> None:
    mask = np.zeros((5, 5, 5), bool)
    mask[0, 2, 1:4] = True

    assert mask[bounding_box(mask)].shape == (1, 1, 3)
    assert mask[bounding_box(mask, margin=1)].shape == (2, 3, 5)
    assert bounding_box(~mask & mask) is None

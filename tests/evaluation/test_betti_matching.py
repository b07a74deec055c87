"""Closed forms against the full matching of the library: counts must be equal, always."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from vesuv.evaluation.betti_matching import match, match_octants, octants
from vesuv.evaluation.betti_wheel import full_matching

Pair = tuple[np.ndarray, np.ndarray]


def noise(rng: np.random.Generator, shape: np.ndarray) -> Pair:
    first = rng.random(shape)
    second = 0.7 * first + 0.3 * rng.random(shape)
    return cut(rng, first), cut(rng, second)


def blobs(rng: np.random.Generator, shape: np.ndarray) -> Pair:
    first = gaussian_filter(rng.random(shape), 0.8)
    second = 0.6 * first + 0.4 * gaussian_filter(rng.random(shape), 0.8)
    return cut(rng, first), cut(rng, second)


def hollows(rng: np.random.Generator, shape: np.ndarray) -> Pair:
    first = rng.random(shape)
    return first < 0.9, 0.7 * first + 0.3 * rng.random(shape) < 0.85


def thin_sheets(rng: np.random.Generator, shape: np.ndarray) -> Pair:
    z, y, x = np.indices(shape)
    slope = rng.uniform(-1, 1, 3)
    height = slope[0] * z + slope[1] * y + slope[2] * x
    label = (height % 5 < 1.6) & (rng.random(shape) < 0.95)
    shift = rng.uniform(-0.5, 0.5)
    prediction = ((height + shift) % 5 < 1.8) & (rng.random(shape) < 0.9)
    ignored = gaussian_filter(rng.random(shape), 2) > 0.52
    return prediction & ~ignored, label & ~ignored


def cut(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    return values > np.quantile(values, rng.uniform(0.02, 0.98))


@pytest.mark.parametrize("make", [noise, blobs, hollows, thin_sheets])
@pytest.mark.parametrize("longest", [3, 13])
def test_counts_are_those_of_the_full_matching(make, longest: int) -> None:
    rng = np.random.default_rng(longest)
    for _ in range(60):
        prediction, label = make(rng, rng.integers(1, longest + 1, 3))

        counts = match(prediction, label, exact=True)

        expected = full_matching(prediction, label)
        assert (counts.matched, counts.predicted, counts.labelled) == expected
        assert counts.matched_high == counts.matched


@pytest.mark.parametrize("shape", [(1, 9, 9), (9, 1, 9), (9, 9, 1), (2, 15, 15), (1, 1, 30)])
def test_flat_octants_agree_too(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    for density in np.linspace(0.1, 0.9, 15):
        prediction, label = rng.random(shape) < density, rng.random(shape) < density

        counts = match(prediction, label, exact=True)

        expected = full_matching(prediction, label)
        assert (counts.matched, counts.predicted, counts.labelled) == expected


def test_identical_masks_match_all_they_have() -> None:
    mask = np.random.default_rng(1).random((14, 14, 14)) < 0.5

    counts = match(mask, mask, exact=True)

    assert counts.matched == counts.predicted == counts.labelled
    assert counts.matched[1] > 100


def test_an_empty_side_matches_nothing() -> None:
    mask = np.random.default_rng(1).random((8, 8, 8)) < 0.5
    empty = np.zeros_like(mask)

    assert match(mask, empty, exact=True).matched == (0, 0, 0)
    assert match(empty, mask, exact=True).predicted == (0, 0, 0)
    assert match(empty, empty, exact=True).labelled == (0, 0, 0)


def test_the_longer_half_of_an_odd_axis_comes_first() -> None:
    first, *_, last = octants((4, 5, 6))

    assert first == (slice(0, 2), slice(0, 3), slice(0, 3))
    assert last == (slice(2, 4), slice(3, 5), slice(3, 6))
    assert len(list(octants((1, 5, 6)))) == 4


def test_a_volume_counts_what_its_octants_do() -> None:
    mask = np.zeros((4, 4, 4), bool)
    mask[0, 0, [0, 3]] = True  # one voxel in each of two octants: no octant has a second

    assert match_octants(mask, mask, exact=True).labelled == (0, 0, 0)

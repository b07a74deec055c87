from __future__ import annotations

import numpy as np
import pytest

from vesuv.data.labels import IGNORE
from vesuv.data.statistics import (
    DatasetStatistics,
    case_statistics,
    merge_statistics,
)
from vesuv.errors import InputError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", ["uint8", "int8", "uint16", "int16", "float32", "float16"])
def test_moments_agree_with_numpy_for_every_type(kind: str) -> None:
    image = RNG.integers(0, 100, (2, 4, 5, 6)).astype(kind)

    found = case_statistics(image, None)

    axes = (1, 2, 3)
    assert found.mean == pytest.approx(image.mean(axis=axes, dtype=np.float64))
    assert found.std == pytest.approx(image.std(axis=axes, dtype=np.float64))
    assert found.min == tuple(image.min(axis=axes))
    assert found.max == tuple(image.max(axis=axes))
    assert found.foreground is None


def test_negative_eight_bit_values_keep_their_sign() -> None:
    found = case_statistics(np.array([[[[-3, 1]]]], np.int8), None)

    assert (found.mean, found.min, found.max) == ((-1.0,), (-3.0,), (1.0,))


def test_foreground_leaves_background_and_ignored_voxels_out() -> None:
    image = np.array([[[[10, 20, 30, 200]]]], np.uint8)
    label = np.array([[[0, 1, 2, IGNORE]]], np.uint8)

    foreground = case_statistics(image, label).foreground

    assert foreground is not None
    assert (foreground.count, foreground.mean, foreground.std) == (2, (25.0,), (5.0,))
    assert foreground.percentile(0) == (20.0,)
    assert foreground.percentile(50) == pytest.approx((25.0,))
    assert foreground.percentile(100) == (30.0,)


def test_no_foreground_is_none_not_a_fault() -> None:
    image = np.zeros((1, 2, 2, 2), np.uint8)

    assert case_statistics(image, np.zeros((2, 2, 2), np.uint8)).foreground is None
    assert merge_statistics([case_statistics(image, None)]) == DatasetStatistics(1, None)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_counted_and_refused(value: float) -> None:
    image = np.zeros((1, 2, 2, 2), np.float32)
    image[0, 0, 0, 0] = value

    with pytest.raises(InputError, match=r"NaN or infinite in 1 of 8 voxels"):
        case_statistics(image, None)


def test_infinities_of_both_signs_are_refused() -> None:
    image = np.array([[[[np.inf, -np.inf]]]], np.float32)

    with pytest.raises(InputError, match=r"in 2 of 2 voxels"):
        case_statistics(image, None)


def test_merged_statistics_equal_those_of_all_foreground_voxels_together() -> None:
    images = [RNG.normal(size=(1, 10, 20, 30)), RNG.normal(5.0, 3.0, size=(1, 20, 20, 20))]
    labels = [(RNG.random(image.shape[1:]) < 0.4).astype(np.uint8) for image in images]
    together = np.concatenate([i[0][m > 0] for i, m in zip(images, labels, strict=True)])

    merged = merge_statistics(map(case_statistics, images, labels)).foreground

    assert merged is not None
    assert merged.count == together.size
    assert merged.mean == pytest.approx((together.mean(),))
    assert merged.std == pytest.approx((together.std(),))
    for percent in (0.5, 10, 50, 90, 99.5):
        assert merged.percentile(percent)[0] == pytest.approx(
            np.percentile(together, percent), abs=0.05
        )

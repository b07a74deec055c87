import math

import numpy as np
import pytest

from vesuv.evaluation.calibration import (
    counted_reliability,
    expected_calibration_error,
    reliability,
)

ALL = np.ones(4, bool)


def test_probabilities_that_are_frequencies_have_no_error() -> None:
    probs = np.array([0.25, 0.25, 0.25, 0.25])

    assert expected_calibration_error(probs, np.array([1, 0, 0, 0], bool), ALL) == 0.0


def test_each_bin_counts_by_its_share() -> None:
    probs = np.array([0.9, 0.9, 0.1, 0.1])
    label = np.array([1, 0, 0, 0], bool)

    # two voxels 0.9 against 1/2, two 0.1 against 0
    expected = 0.5 * 0.4 + 0.5 * 0.1
    assert expected_calibration_error(probs, label, ALL) == pytest.approx(expected)


def test_a_bin_that_is_too_low_does_not_make_up_for_one_that_is_too_high() -> None:
    probs, label = np.array([0.9, 0.1]), np.array([True, False])

    # 0.9 against 1, and 0.1 against 0
    error = expected_calibration_error(probs, label, np.ones(2, bool))
    assert error == pytest.approx(0.5 * 0.1 + 0.5 * 0.1)


def test_a_sure_mistake_is_an_error_of_one() -> None:
    assert expected_calibration_error(np.ones(4), np.zeros(4, bool), ALL) == 1.0


def test_voxels_that_are_not_judged_do_not_count() -> None:
    probs, label = np.array([1.0, 0.0]), np.array([True, True])

    assert expected_calibration_error(probs, label, np.array([True, False])) == 0.0
    assert math.isnan(expected_calibration_error(probs, label, np.array([False, False])))


def test_volumes_pool_bin_by_bin_to_the_error_of_both_together() -> None:
    probs, label = np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 0, 0, 0], bool)
    one, other = slice(0, 1), slice(1, 4)

    parts = [reliability(probs[part], label[part], ALL[part]) for part in (one, other)]
    pooled = parts[0] + parts[1]

    assert pooled.voxels[[1, 13]].tolist() == [2, 2]
    assert pooled.foreground[[1, 13]].tolist() == [0, 1]
    assert pooled.probability[[1, 13]].tolist() == pytest.approx([0.2, 1.8])
    # by itself the first voxel is off by 0.1; together with its neighbour the bin is off by 0.4
    assert parts[0].error == pytest.approx(0.1)
    assert pooled.error == pytest.approx(0.25)


def test_counted_voxels_have_the_reliability_of_their_voxels() -> None:
    probs = np.array([0.9, 0.9, 0.9, 0.1, 1.0, 0.1])
    label = np.array([1, 0, 1, 0, 1, 0], bool)

    every = reliability(probs, label, np.ones(6, bool))
    counted = counted_reliability(
        np.array([0.9, 0.9, 0.1, 1.0]), np.array([1, 0, 0, 1], bool), np.array([2, 1, 2, 1])
    )

    assert counted.voxels.tolist() == every.voxels.tolist()
    assert counted.foreground.tolist() == every.foreground.tolist()
    assert counted.probability.tolist() == pytest.approx(every.probability.tolist())

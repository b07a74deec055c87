from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from vesuv.evaluation.bootstrap import Interval
from vesuv.evaluation.comparison import compare_pairs


def test_six_gains_are_as_unlikely_as_six_heads() -> None:
    first = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    second = [0.11, 0.22, 0.33, 0.44, 0.55, 0.66]

    found = compare_pairs(first, second)

    assert found.difference == pytest.approx(0.035)
    assert (found.first, found.second) == pytest.approx((0.35, 0.385))
    assert found.p_value == pytest.approx(2 / 2**6)
    assert found.note == ""
    assert 0.01 < found.interval.low < 0.035 < found.interval.high < 0.06


def test_the_test_is_scipys_with_the_equal_pairs_left_out() -> None:
    rng = np.random.default_rng(3)
    first = rng.random(70).round(1)
    second = np.clip(first + rng.normal(0.03, 0.1, 70), 0, 1).round(1)

    found = compare_pairs(first.tolist(), second.tolist())

    # in tenths, whole numbers, so that rounding makes no rank
    tenths = [np.rint(10 * part) for part in (second, first)]
    theirs = wilcoxon(*tenths, zero_method="wilcox", method="asymptotic")
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.num_pairs == 70
    assert found.num_differing == int(np.count_nonzero(first != second)) < 70


def test_too_few_pairs_are_not_tested_and_say_so() -> None:
    found = compare_pairs([0.1] * 5, [0.2] * 5)

    assert math.isnan(found.p_value)
    assert found.note == "too few for a test: 5 cases differ, it needs 6"
    assert found.interval == Interval(pytest.approx(0.1), pytest.approx(0.1))


def test_equal_predictions_differ_nowhere() -> None:
    found = compare_pairs([0.5] * 8 + [math.inf], [0.5] * 8 + [math.inf])

    assert (found.difference, found.num_differing) == (0.0, 0)
    assert found.interval == Interval(0.0, 0.0)
    assert math.isnan(found.p_value)
    assert found.note == "no case differs"


def test_a_case_that_only_one_has_is_no_pair() -> None:
    found = compare_pairs([0.5, math.nan, 0.5], [0.5, 0.9, math.nan])

    assert (found.num_pairs, found.difference) == (1, 0.0)


def test_without_pairs_nothing_is_said() -> None:
    found = compare_pairs([math.nan], [0.5])

    assert found.num_pairs == 0
    assert math.isnan(found.difference)
    assert found.note == "too few for a test: 0 cases differ, it needs 6"


def test_infinities_on_both_sides_leave_no_mean() -> None:
    found = compare_pairs([math.inf, 0.0], [0.0, math.inf])

    assert math.isnan(found.difference)
    assert all(map(math.isnan, found.interval))


def test_values_that_differ_by_rounding_are_equal() -> None:
    # 0.1 + 0.2 is 0.30000000000000004
    found = compare_pairs([0.3] * 8, [0.1 + 0.2] * 8)

    assert (found.num_differing, found.difference) == (0, 0.0)
    assert found.interval == Interval(0.0, 0.0)
    assert found.note == "no case differs"


def test_small_differences_are_no_rounding() -> None:
    # one voxel of 10^9 more
    found = compare_pairs([0.5] * 6, [0.5 + 1e-9] * 6)

    assert found.num_differing == 6
    assert found.p_value == pytest.approx(2 / 2**6)


def test_differences_of_one_size_share_their_rank() -> None:
    # as floats: 0.1, 0.10000000000000003, -0.10000000000000009, 0.19999999999999996, 0.2, -0.3
    first = [0.1, 0.3, 0.9, 0.4, 0.2, 0.8]
    second = [0.2, 0.4, 0.8, 0.6, 0.4, 0.5]
    ranks = [2, 2, 2, 4.5, 4.5, 6]  # by size, by hand; the sum of the negative ones is 2 + 6
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((False, True), repeat=6)
    ]

    found = compare_pairs(first, second)

    assert found.num_differing == 6
    assert found.p_value == pytest.approx(2 * sum(s <= 8 for s in sums) / len(sums))


def test_an_infinite_difference_ranks_last_and_ties_with_another() -> None:
    first = [0.0] * 6
    second = [-1.0, 2.0, 3.0, 4.0, math.inf, math.inf]
    ranks = [1, 2, 3, 4, 5.5, 5.5]  # the sum of the negative ones is 1
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in itertools.product((False, True), repeat=6)
    ]

    found = compare_pairs(first, second)

    assert found.difference == math.inf
    assert found.p_value == pytest.approx(2 * sum(s <= 1 for s in sums) / len(sums))

from __future__ import annotations

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

    theirs = wilcoxon(second, first, zero_method="wilcox", method="asymptotic")
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

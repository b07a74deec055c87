from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap

from vesuv.evaluation.bootstrap import Interval, bootstrap_interval


def test_the_interval_of_a_constant_is_that_constant() -> None:
    assert bootstrap_interval([0.1] * 7) == Interval(0.1, 0.1)


def test_two_values_are_drawn_apart_or_together() -> None:
    # means of two draws from 0 and 1: 0, 1/2 and 1 with chances 1/4, 1/2, 1/4
    assert bootstrap_interval([0.0, 1.0]) == Interval(0.0, 1.0)


def test_the_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(1).normal(0.6, 0.1, size=30)
    theirs = bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(2))

    low, high = bootstrap_interval(values.tolist())

    # the interval is 0.07 wide; two runs of 10,000 draws differ by about 0.0005
    assert low == pytest.approx(theirs.confidence_interval.low, abs=2e-3)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=2e-3)


def test_the_seed_settles_the_interval() -> None:
    values = [0.1, 0.5, 0.2, 0.9, 0.7]

    assert bootstrap_interval(values) == bootstrap_interval(values[::-1])
    draws = {bootstrap_interval([*values, 0.123456], seed=seed) for seed in range(4)}
    assert len(draws) > 1


def test_cases_without_a_value_are_no_cases() -> None:
    assert bootstrap_interval([0.3, math.nan, 0.3]) == Interval(0.3, 0.3)


@pytest.mark.parametrize("values", [[], [0.4], [0.4, math.nan]])
def test_one_case_says_nothing_of_the_spread(values: list[float]) -> None:
    assert all(map(math.isnan, bootstrap_interval(values)))


def test_an_infinite_value_makes_infinite_means() -> None:
    low, high = bootstrap_interval([1.0] * 9 + [math.inf])

    # a third of the draws leave the infinite case out
    assert (low, high) == (1.0, math.inf)
    assert all(map(math.isnan, bootstrap_interval([math.inf, -math.inf])))

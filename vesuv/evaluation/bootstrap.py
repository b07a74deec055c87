"""Bootstrap interval of a mean over cases.

Cases are drawn with replacement and the mean is taken, many times; the interval holds the middle
95 % of these means (percentile bootstrap). A wide interval says that other cases would give another
mean. Cases of one scroll resemble each other, so that for another scroll it is too narrow.

Source:
    Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
NUM_RESAMPLES = 10_000
SEED = 0


class Interval(NamedTuple):
    """Ends of an interval; both NaN where there is none."""

    low: float
    high: float


def bootstrap_interval(values: Sequence[float], seed: int = SEED) -> Interval:
    """Return the 95 % interval of the mean over cases.

    Args:
        values: One for each case; a case with NaN is left out, infinity makes infinite means.
        seed: Seed of the draws; the order of the values does not matter.

    Returns:
        Ends that are means of draws; NaN with fewer than two values, or when infinities of both
        signs meet.
    """
    numbers = np.array(values, dtype=np.float64)
    numbers = np.sort(numbers[~np.isnan(numbers)])
    if len(numbers) < 2:
        return Interval(math.nan, math.nan)
    means = _means(numbers, _draws(len(numbers), seed))
    if np.isnan(means).any():
        return Interval(math.nan, math.nan)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, (tail, 1 - tail), method="inverted_cdf").tolist()
    return Interval(low, high)


@lru_cache(maxsize=2)
def _draws(num_cases: int, seed: int) -> NDArray[np.float64]:
    """Return how often each case is drawn, (resample, case)."""
    drawn = np.random.default_rng(seed).integers(num_cases, size=(NUM_RESAMPLES, num_cases))
    cells = drawn + np.arange(NUM_RESAMPLES)[:, None] * num_cases
    counts = np.bincount(cells.ravel(), minlength=NUM_RESAMPLES * num_cases)
    return counts.reshape(NUM_RESAMPLES, num_cases).astype(np.float64)


def _means(values: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = np.where(np.isfinite(values), values, 0.0)
    means = draws @ finite / len(values)
    # rounding of the sum may leave the range of the values by a last digit
    means = np.clip(means, finite.min(), finite.max())
    up, down = (draws @ (values == end) > 0 for end in (np.inf, -np.inf))
    means[up], means[down], means[up & down] = np.inf, -np.inf, np.nan
    return means

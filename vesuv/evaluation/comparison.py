"""Paired comparison of two sets of predictions of the same cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from vesuv.evaluation.bootstrap import Interval, bootstrap_interval

LEAST_PAIRS = 6
"""Differing pairs below which the two-sided test cannot reach 5 %: five give 2 / 2**5 at best."""
ROUNDING = 1e-12
"""Share of the largest value up to which a difference is one of rounding."""


@dataclass(frozen=True)
class Comparison:
    """Differences of the second set from the first, case by case."""

    num_pairs: int
    """Cases in which both have a value."""
    num_differing: int
    """Pairs whose values differ; the test ranks these."""
    first: float
    """Mean of the first set over the pairs; all means are NaN without a pair."""
    second: float
    difference: float
    """Mean of second - first."""
    interval: Interval
    """95 % bootstrap interval of that mean, pairs drawn."""
    p_value: float
    """Two-sided Wilcoxon signed-rank test; NaN with fewer than `LEAST_PAIRS` differing pairs."""

    @property
    def note(self) -> str:
        """Why there is no test; empty when there is one."""
        if self.num_differing >= LEAST_PAIRS:
            return ""
        if self.num_pairs and not self.num_differing:
            return "no case differs"
        return f"too few for a test: {self.num_differing} cases differ, it needs {LEAST_PAIRS}"


def compare_pairs(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare two measurements of the same cases.

    Floats that differ by rounding alone are the same number: a difference of at most `ROUNDING`
    times the largest finite value counts as zero, and differences whose sizes are as close as that
    are ties. 0.1 + 0.2 and 0.3 do not differ, and 0.4 - 0.3 ties with 0.2 - 0.1.

    Args:
        first: One value a case; NaN where there is none.
        second: The same cases in the same order.

    Source:
        Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1945: are
        differences as often and as far above as below zero? Pairs without a difference are left
        out, ties share the mean of their ranks. SciPy computes it: exactly up to 50 pairs without
        ties and up to 13 with ties, else by the normal law.
    """
    pairs = np.array([first, second], dtype=np.float64).reshape(2, -1)
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    differences = _differences(pairs)
    with np.errstate(invalid="ignore"):  # infinities of both signs have no mean
        means = [
            float(part.mean()) if part.size else math.nan
            for part in (pairs[0], pairs[1], differences)
        ]
    differing = differences[differences != 0]
    enough = len(differing) >= LEAST_PAIRS
    return Comparison(
        num_pairs=pairs.shape[1],
        num_differing=len(differing),
        first=means[0],
        second=means[1],
        difference=means[2],
        interval=bootstrap_interval(differences.tolist()),
        p_value=float(wilcoxon(differing).pvalue) if enough else math.nan,
    )


def _differences(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return second - first of pairs (2, n); sizes that are equal but for rounding are equal."""
    finite = np.abs(pairs[np.isfinite(pairs)])
    tolerance = ROUNDING * finite.max(initial=0.0)
    with np.errstate(invalid="ignore"):  # two infinities do not differ
        differences: NDArray[np.float64] = pairs[1] - pairs[0]
        differences[np.isnan(differences)] = 0.0
        order = np.argsort(np.abs(differences))
        sizes = np.abs(differences)[order]
        is_new = np.diff(sizes, prepend=0.0) > tolerance
    sizes = np.maximum.accumulate(np.where(is_new, sizes, 0.0))
    differences[order] = np.copysign(sizes, differences[order])
    return differences

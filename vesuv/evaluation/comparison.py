"""Paired comparison of two sets of predictions of the same cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wilcoxon

from vesuv.evaluation.bootstrap import Interval, bootstrap_interval

LEAST_PAIRS = 6
"""Differing pairs below which the two-sided test cannot reach 5 %: five give 2 / 2**5 at best."""


@dataclass(frozen=True)
class Comparison:
    """What the second set has more than the first, case by case."""

    num_pairs: int
    """Cases in which both have a value."""
    num_differing: int
    """Pairs that the test looks at: those whose values differ."""
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
        """What to know about the test; empty when there is nothing."""
        if self.num_differing >= LEAST_PAIRS:
            return ""
        if self.num_pairs and not self.num_differing:
            return "no case differs"
        return f"too few for a test: {self.num_differing} cases differ, it needs {LEAST_PAIRS}"


def compare_pairs(first: Sequence[float], second: Sequence[float]) -> Comparison:
    """Compare two measurements of the same cases.

    Args:
        first: One value a case; NaN where there is none.
        second: The same cases in the same order.

    Source:
        Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1945: are
        differences as often and as far above as below zero? Pairs without a difference are left
        out. SciPy computes it: exactly up to 50 pairs without ties, else by the normal law.
    """
    pairs = np.array([first, second], dtype=np.float64).reshape(2, -1)
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    same = pairs[0] == pairs[1]  # also where both are infinite
    with np.errstate(invalid="ignore"):
        differences = np.where(same, 0.0, pairs[1] - pairs[0])
        means = [
            float(part.mean()) if part.size else math.nan
            for part in (pairs[0], pairs[1], differences)
        ]
    differing = differences[~same]
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

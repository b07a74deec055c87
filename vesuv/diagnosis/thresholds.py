"""Overlap at any threshold, from the histogram of probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from vesuv.runs.fields import BINS
from vesuv.runs.observation import Histogram


@dataclass(frozen=True)
class Overlap:
    """Overlap when every voxel at or above the threshold counts as foreground."""

    threshold: float
    dice: float
    precision: float
    recall: float


def overlap_at(histogram: Histogram, threshold: float) -> Overlap:
    """Return the overlap at a threshold, which is rounded to a bin's edge."""
    return _overlaps(histogram)[min(BINS - 1, max(0, round(threshold * BINS)))]


def best_threshold(histogram: Histogram) -> Overlap:
    """Return the threshold with the best Dice; of several equal ones the middle one."""
    candidates = _overlaps(histogram)
    best_dice = max(candidate.dice for candidate in candidates)
    ties = [candidate for candidate in candidates if candidate.dice == best_dice]
    return ties[len(ties) // 2]


def mean_probability(counts: tuple[int, ...]) -> float | None:
    """Return the mean probability of the counted voxels; None without voxels."""
    total = sum(counts)
    if not total:
        return None
    return sum((bin_index + 0.5) / BINS * count for bin_index, count in enumerate(counts)) / total


def _overlaps(histogram: Histogram) -> list[Overlap]:
    num_foreground = sum(histogram.foreground)
    true_positives = _cumulative_from_top(histogram.foreground)
    false_positives = _cumulative_from_top(histogram.background)
    return [
        Overlap(
            bin_index / BINS,
            2 * tp / max(1, tp + fp + num_foreground),
            tp / max(1, tp + fp),
            tp / max(1, num_foreground),
        )
        for bin_index, (tp, fp) in enumerate(zip(true_positives, false_positives, strict=True))
    ]


def _cumulative_from_top(counts: tuple[int, ...]) -> list[int]:
    return list(accumulate(reversed(counts)))[::-1]

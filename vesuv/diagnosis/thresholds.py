"""What another threshold would give, from the histogram of probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from vesuv.runs.records import BINS, Histogram


@dataclass(frozen=True)
class Cut:
    """Overlap when every voxel at or above a probability counts as foreground."""

    threshold: float
    dice: float
    precision: float
    recall: float


def cut_at(histogram: Histogram, threshold: float) -> Cut:
    """Return the overlap at a threshold, rounded to the edges of the bins."""
    return _cuts(histogram)[min(BINS - 1, max(0, round(threshold * BINS)))]


def best_cut(histogram: Histogram) -> Cut:
    """Return the threshold with the best Dice; the middle one of those that tie."""
    cuts = _cuts(histogram)
    most = max(cut.dice for cut in cuts)
    best = [cut for cut in cuts if cut.dice == most]
    return best[len(best) // 2]


def mean_probability(counts: tuple[int, ...]) -> float | None:
    """Return the mean probability of the voxels counted; None where there is none."""
    total = sum(counts)
    if not total:
        return None
    return sum((place + 0.5) / BINS * count for place, count in enumerate(counts)) / total


def _cuts(histogram: Histogram) -> list[Cut]:
    labelled = sum(histogram.foreground)
    right = _at_or_above(histogram.foreground)
    wrong = _at_or_above(histogram.background)
    return [
        Cut(
            place / BINS,
            2 * tp / max(1, tp + fp + labelled),
            tp / max(1, tp + fp),
            tp / max(1, labelled),
        )
        for place, (tp, fp) in enumerate(zip(right, wrong, strict=True))
    ]


def _at_or_above(counts: tuple[int, ...]) -> list[int]:
    return list(accumulate(reversed(counts)))[::-1]

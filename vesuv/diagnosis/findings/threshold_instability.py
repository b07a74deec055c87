"""The measure follows the threshold, not learning: it swings, or it stays below a ceiling."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import correlation, pstdev

from vesuv.config import Config
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, percent
from vesuv.diagnosis.thresholds import Overlap, best_threshold, overlap_at
from vesuv.diagnosis.trend import MIN_GAIN
from vesuv.runs.records import Finding

NUM_VALIDATIONS = 5
"""Latest validations that are judged."""
MIN_SWING = 0.05
"""Mean change from one validation to the next: of Dice at the fixed threshold, or of recall."""
MAX_SWING_RATIO = 0.4
"""Largest ratio of the swing at each validation's best threshold to that at the fixed one."""
MAX_CORRELATION = -0.8
"""Largest correlation of precision and recall that move along one curve."""
EMA_DECAY = 0.99
"""Decay of the weights' average that is proposed where there is none as slow."""

_CHOICE = "let validate_distribution choose checkpoint and threshold together"
_FEATURES = (
    "; for a better curve the network needs other features: more labelled cases, or weights that "
    "vesuv pretrain learns from unlabelled volumes. vesuv probe tells which kind of features the "
    "labels need."
)


def find(evidence: Evidence) -> Finding | None:
    """Find validations that differ by the level of the probabilities alone.

    Either Dice swings at the fixed threshold and not at the best one. Or it hardly moves, also at
    the best threshold, while precision and recall are exchanged for each other: the network goes to
    and fro on one precision-recall curve and does not get onto a better one. The trend is
    subtracted: a run that only rises has no swing.
    """
    histograms = [(line.epoch, line.histogram) for line in evidence.observations if line.histogram]
    recent = histograms[-NUM_VALIDATIONS:]
    if len(recent) < NUM_VALIDATIONS or evidence.config.model.out_channels > 1:
        return None
    threshold = evidence.config.validation.threshold
    fixed = [overlap_at(histogram, threshold) for _, histogram in recent]
    best = [best_threshold(histogram) for _, histogram in recent]
    swing, best_swing = (_swing([overlap.dice for overlap in part]) for part in (fixed, best))
    first, last = recent[0][0], recent[-1][0]
    coverage = _coverage(evidence, [epoch for epoch, _ in recent])
    place = f"In {epochs(first, last)} Dice at threshold {threshold:g}"
    if swing >= MIN_SWING and best_swing <= MAX_SWING_RATIO * swing:
        title, text = _swinging(fixed, best, coverage)
        remedy = f"Do not pick an epoch by this curve: {_averaging(evidence.config)}{_CHOICE}."
    elif _is_on_one_curve(fixed, best):
        title, text = _below_ceiling(fixed, best, coverage)
        remedy = f"More epochs do not end this: {_averaging(evidence.config)}{_CHOICE}{_FEATURES}"
    else:
        return None
    return Finding(
        name="threshold_instability",
        title=title,
        evidence=f"{place} {text}",
        remedy=remedy,
        severity="warning",
        epochs=(first, last),
        numbers={
            "swing": swing,
            "swing_at_best_threshold": best_swing,
            "swing_of_recall": _swing([overlap.recall for overlap in fixed]),
        },
    )


def _swinging(fixed: Sequence[Overlap], best: Sequence[Overlap], coverage: str) -> tuple[str, str]:
    """Return title and evidence of a measure that swings."""
    thresholds = [overlap.threshold for overlap in best]
    return "The measure swings with the threshold, not with learning", (
        f"goes from {_range(fixed)}{coverage and f' and {coverage}'}, but at each epoch's best "
        f"threshold ({min(thresholds):.2f} to {max(thresholds):.2f}) only from {_range(best)}."
    )


def _below_ceiling(
    fixed: Sequence[Overlap], best: Sequence[Overlap], coverage: str
) -> tuple[str, str]:
    """Return title and evidence of a measure that does not get on."""
    recall = [overlap.recall for overlap in fixed]
    return "The measure stays below a ceiling, precision is exchanged for recall", (
        f"stays at {_range(fixed)} (IoU {_range(fixed, of_iou=True)}), and at each epoch's best "
        f"threshold at {_range(best)}. Meanwhile recall swings from {min(recall):.2f} to "
        f"{max(recall):.2f}, with precision against it{coverage and f', and {coverage}'}."
    )


def _is_on_one_curve(fixed: Sequence[Overlap], best: Sequence[Overlap]) -> bool:
    """Whether recall swings against precision, and the overlap hardly moves."""
    recall, precision = [o.recall for o in fixed], [o.precision for o in fixed]
    is_flat = all(
        max(o.dice for o in part) - min(o.dice for o in part) < limit
        for part, limit in ((fixed, MIN_SWING), (best, MIN_GAIN))
    )
    if not is_flat or _swing(recall) < MIN_SWING or not pstdev(precision):
        return False
    return correlation(recall, precision) <= MAX_CORRELATION


def _range(overlaps: Sequence[Overlap], *, of_iou: bool = False) -> str:
    dice = [overlap.dice for overlap in overlaps]
    values = [one / (2 - one) for one in dice] if of_iou else dice
    return f"{min(values):.3f} to {max(values):.3f}"


def _coverage(evidence: Evidence, validation_epochs: list[int]) -> str:
    predicted = [evidence.value_at("val/predicted_fraction", epoch) for epoch in validation_epochs]
    shares = [share for share in predicted if share is not None]
    if not shares:
        return ""
    return f"predicted foreground from {percent(min(shares))} to {percent(max(shares))}"


def _swing(values: list[float]) -> float:
    """Mean absolute change between neighbours, minus that of a monotonous sequence."""
    steps = [b - a for a, b in itertools.pairwise(values)]
    return (sum(map(abs, steps)) - abs(sum(steps))) / len(steps)


def _averaging(config: Config) -> str:
    ema = config.averaging.ema
    if ema is not None and ema.decay >= EMA_DECAY:
        return ""
    return f"average the weights, --set averaging.ema.decay={EMA_DECAY:g}, and "

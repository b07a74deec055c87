"""Dice at the fixed threshold swings, Dice at the best threshold does not."""

from __future__ import annotations

import itertools

from vesuv.config import Config
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, percent
from vesuv.diagnosis.thresholds import best_threshold, overlap_at
from vesuv.runs.records import Finding

NUM_VALIDATIONS = 5
"""Latest validations that are judged."""
MIN_SWING = 0.05
"""Mean change of Dice from one validation to the next at the fixed threshold."""
MAX_SWING_RATIO = 0.4
"""Largest ratio of the swing at each validation's best threshold to that at the fixed one."""
EMA_DECAY = 0.99
"""Decay of the weights' average that is proposed where there is none as slow."""


def find(evidence: Evidence) -> Finding | None:
    """Find swings of Dice at the fixed threshold that are absent at the best threshold.

    The trend is subtracted: a run that only rises has no swing.
    """
    histograms = [(line.epoch, line.histogram) for line in evidence.observations if line.histogram]
    recent = histograms[-NUM_VALIDATIONS:]
    if len(recent) < NUM_VALIDATIONS or evidence.config.model.out_channels > 1:
        return None
    threshold = evidence.config.validation.threshold
    fixed_dice = [overlap_at(histogram, threshold).dice for _, histogram in recent]
    best = [best_threshold(histogram) for _, histogram in recent]
    swing, best_swing = _swing(fixed_dice), _swing([overlap.dice for overlap in best])
    if swing < MIN_SWING or best_swing > MAX_SWING_RATIO * swing:
        return None
    first, last = recent[0][0], recent[-1][0]
    coverage = _coverage(evidence, [epoch for epoch, _ in recent])
    thresholds = [overlap.threshold for overlap in best]
    return Finding(
        name="threshold_instability",
        title="The measure swings with the threshold, not with learning",
        evidence=(
            f"In {epochs(first, last)} Dice at threshold {threshold:g} goes from "
            f"{min(fixed_dice):.3f} to {max(fixed_dice):.3f}{coverage}, but at each epoch's best "
            f"threshold ({min(thresholds):.2f} to {max(thresholds):.2f}) only from "
            f"{min(overlap.dice for overlap in best):.3f} to "
            f"{max(overlap.dice for overlap in best):.3f}."
        ),
        remedy=(
            f"Do not pick an epoch by this curve: {_averaging(evidence.config)}let "
            "validate_distribution choose checkpoint and threshold together."
        ),
        severity="warning",
        epochs=(first, last),
        numbers={"swing": swing, "swing_at_best_threshold": best_swing},
    )


def _coverage(evidence: Evidence, validation_epochs: list[int]) -> str:
    predicted = [evidence.value_at("val/predicted_fraction", epoch) for epoch in validation_epochs]
    shares = [share for share in predicted if share is not None]
    if not shares:
        return ""
    return f" and predicted foreground from {percent(min(shares))} to {percent(max(shares))}"


def _swing(values: list[float]) -> float:
    """Mean absolute change between neighbours, minus that of a monotonous sequence."""
    steps = [b - a for a, b in itertools.pairwise(values)]
    return (sum(map(abs, steps)) - abs(sum(steps))) / len(steps)


def _averaging(config: Config) -> str:
    ema = config.averaging.ema
    if ema is not None and ema.decay >= EMA_DECAY:
        return ""
    return f"average the weights, --set averaging.ema.decay={EMA_DECAY:g}, and "

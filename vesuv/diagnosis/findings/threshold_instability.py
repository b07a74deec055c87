"""The measure swings with the threshold, not with what was learnt."""

from __future__ import annotations

import itertools

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, percent
from vesuv.diagnosis.thresholds import best_cut, cut_at
from vesuv.runs.records import Finding

VALIDATIONS = 5
"""Looked back over."""
SWING = 0.05
"""Mean change of Dice from one validation to the next at the fixed threshold."""
CALMER = 0.4
"""Share of that by which Dice at each validation's best threshold must change at most."""


def find(evidence: Evidence) -> Finding | None:
    """Find Dice at the fixed threshold swinging while Dice at the best threshold does not.

    Swings are what is left of the changes after the trend: a run that only rises does not swing.
    """
    found = [(line.epoch, line.histogram) for line in evidence.observations if line.histogram]
    recent = found[-VALIDATIONS:]
    if len(recent) < VALIDATIONS or evidence.config.model.out_channels > 1:
        return None
    threshold = evidence.config.validation.threshold
    fixed = [cut_at(histogram, threshold).dice for _, histogram in recent]
    best = [best_cut(histogram) for _, histogram in recent]
    swing, calm = _swing(fixed), _swing([cut.dice for cut in best])
    if swing < SWING or calm > CALMER * swing:
        return None
    first, last = recent[0][0], recent[-1][0]
    coverage = _coverage(evidence, [epoch for epoch, _ in recent])
    cuts = [cut.threshold for cut in best]
    return Finding(
        name="threshold_instability",
        title="The measure swings with the threshold, not with learning",
        evidence=(
            f"In {epochs(first, last)} Dice at threshold {threshold:g} goes from {min(fixed):.3f} "
            f"to {max(fixed):.3f}{coverage}, but at each epoch's best threshold "
            f"({min(cuts):.2f} to {max(cuts):.2f}) only from {min(c.dice for c in best):.3f} to "
            f"{max(c.dice for c in best):.3f}."
        ),
        remedy=(
            "Do not pick an epoch by this curve: average the weights, --set "
            "averaging.ema.decay=0.99, and let validate_distribution choose checkpoint and "
            "threshold together."
        ),
        severity="warning",
        epochs=(first, last),
        numbers={"swing": swing, "swing_at_best_threshold": calm},
    )


def _coverage(evidence: Evidence, validated: list[int]) -> str:
    predicted = [evidence.at("val/predicted_fraction", epoch) for epoch in validated]
    shares = [share for share in predicted if share is not None]
    if not shares:
        return ""
    return f" and predicted foreground from {percent(min(shares))} to {percent(max(shares))}"


def _swing(values: list[float]) -> float:
    """Mean length of the steps that do not follow the way from the first value to the last."""
    steps = [b - a for a, b in itertools.pairwise(values)]
    return (sum(map(abs, steps)) - abs(sum(steps))) / len(steps)

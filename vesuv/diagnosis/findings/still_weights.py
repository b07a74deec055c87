"""The weights hardly move."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.learning_rate import higher_rate, signs_of_excess
from vesuv.diagnosis.render import epochs
from vesuv.runs.records import Finding

MAX_MOVEMENT = 1e-3
"""Relative change of the weights in an epoch; networks that learn have 0.01 to 0.3."""
NUM_VALIDATIONS = 3
"""Latest validations with such a change, among those at MIN_RATE_RATIO of the highest rate or
more."""
MIN_RATE_RATIO = 0.1


def find(evidence: Evidence) -> Finding | None:
    """Find weights that hardly change although the learning rate is not low."""
    rates = dict(evidence.points("lr"))
    highest = max(rates.values(), default=0.0)
    recent = [
        line
        for line in evidence.observations
        if line.movement is not None and rates.get(line.epoch, highest) >= MIN_RATE_RATIO * highest
    ][-NUM_VALIDATIONS:]
    if len(recent) < NUM_VALIDATIONS:
        return None
    first, last = recent[0].epoch, recent[-1].epoch
    every = evidence.config.validation.every
    movements = [(line.movement or 0.0) / every for line in recent]
    if max(movements) >= MAX_MOVEMENT:
        return None
    if signs_of_excess(evidence):
        return None  # stopped or destroyed by too high a rate, not too slow
    lr = evidence.config.optimizer.lr
    proposed = higher_rate(evidence, 30)
    return Finding(
        name="still_weights",
        title="The weights hardly move",
        evidence=(
            f"In {epochs(first, last)} an epoch changed the weights by {max(movements):.1e} of "
            f"their size at most, at a learning rate of {rates.get(last, lr):.2g}."
        ),
        remedy=(
            "The rate is not too low: look at train/gradient_norm in metrics.csv, at "
            "train.gradient_clip, and at the weights of the loss terms."
            if proposed is None
            else f"--set optimizer.lr={proposed:.2g}; the defaults are 5e-4 (adamw), 1e-2 (sgd) "
            "and 5e-2 (muon)."
        ),
        severity="trouble",
        epochs=(first, last),
        numbers={"movement": max(movements), "lr": rates.get(last, lr)},
    )

"""The weights hardly move."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs
from vesuv.runs.records import Finding

STILL = 1e-3
"""Relative change of the weights in an epoch; networks that learn move by 0.01 to 0.3."""
VALIDATIONS = 3
"""In each of the last so many whose learning rate was above LOW of its highest."""
LOW = 0.1


def find(evidence: Evidence) -> Finding | None:
    """Find weights that stand still although the schedule asks them to move."""
    rates = dict(evidence.points("lr"))
    highest = max(rates.values(), default=0.0)
    recent = [
        line
        for line in evidence.observations
        if line.movement is not None and rates.get(line.epoch, highest) >= LOW * highest
    ][-VALIDATIONS:]
    if len(recent) < VALIDATIONS:
        return None
    first, last = recent[0].epoch, recent[-1].epoch
    every = evidence.config.validation.every
    moves = [(line.movement or 0.0) / every for line in recent]
    if max(moves) >= STILL:
        return None
    lr = evidence.config.optimizer.lr
    return Finding(
        name="still_weights",
        title="The weights hardly move",
        evidence=(
            f"In {epochs(first, last)} an epoch changed the weights by {max(moves):.1e} of their "
            f"size at most, at a learning rate of {rates.get(last, lr):.2g}."
        ),
        remedy=f"--set optimizer.lr={30 * lr:.2g}; the defaults are 5e-4 (adamw) and 1e-2 (sgd).",
        severity="trouble",
        epochs=(first, last),
        numbers={"movement": max(moves), "lr": rates.get(last, lr)},
    )

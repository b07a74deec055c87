"""A loss that fell because the phase changed, and is read as progress."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from vesuv.diagnosis.evidence import Evidence
from vesuv.runs.records import Finding

SHIFT = 0.1
"""Share of the loss by which new weights alone must move it."""


def find(evidence: Evidence) -> Finding | None:
    """Find the change of weights that moved the total loss most, the network being the same.

    The losses of the first validation under the new weights are added up with the old weights too:
    the difference is what the change of phase did, and no learning.
    """
    largest: tuple[float, int, int, float, float] | None = None
    validated = evidence.validated
    for before, after in itertools.pairwise(validated):
        old, new = evidence.weights(before), evidence.weights(after)
        if old == new or not old or not new:
            continue
        with_old, with_new = total(evidence, after, old), total(evidence, after, new)
        if not with_old or with_new is None:
            continue
        shift = abs(with_new - with_old) / abs(with_old)
        if shift >= SHIFT and (largest is None or shift > largest[0]):
            largest = (shift, before, after, with_old, with_new)
    if largest is None:
        return None
    shift, before, after, with_old, with_new = largest
    measure = evidence.config.validation.measure
    values = [evidence.at(f"val/{measure}", epoch) or 0.0 for epoch in (before, after)]
    return Finding(
        name="phases_not_comparable",
        title="The loss before and after a change of phase are different functions",
        evidence=(
            f"At epoch {after} the same network has a total loss of {with_old:.4f} under the "
            f"weights of epoch {before} and of {with_new:.4f} under the new ones: "
            f"{(with_new - with_old) / with_old:+.0%} without any learning, while {measure} went "
            f"from {values[0]:.4f} to {values[1]:.4f}."
        ),
        remedy=(
            f"Never call a loss the best across epoch {after}: read val/{measure}, which the "
            "scheduler and best.pt follow, or val/loss_dice, which keeps its meaning."
        ),
        severity="warning",
        epochs=(before, after),
        numbers={"loss_old_weights": with_old, "loss_new_weights": with_new, "shift": shift},
    )


def total(evidence: Evidence, epoch: int, weights: Mapping[str, float]) -> float | None:
    """Return the validation loss of an epoch under given weights; None where a term is unknown."""
    parts = [(weight, evidence.at(f"val/loss_{term}", epoch)) for term, weight in weights.items()]
    if any(value is None for _, value in parts):
        return None
    return sum(weight * value for weight, value in parts if value is not None)

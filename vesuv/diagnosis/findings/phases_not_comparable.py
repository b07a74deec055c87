"""A change of phase changes the total loss without any learning."""

from __future__ import annotations

import itertools

from vesuv.diagnosis.evidence import Evidence
from vesuv.runs.records import Finding

MIN_SHIFT = 0.1
"""Relative change of the total loss by the new weights alone."""


def find(evidence: Evidence) -> Finding | None:
    """Find the change of weights that changes the total loss of the same network most.

    The losses of the first validation under the new weights are summed with the new and with the
    old weights: only the change of phase causes the difference.
    """
    largest: tuple[float, int, int, float, float] | None = None
    validation_epochs = evidence.validation_epochs
    for old_epoch, new_epoch in itertools.pairwise(validation_epochs):
        old_weights, new_weights = evidence.weights(old_epoch), evidence.weights(new_epoch)
        if old_weights == new_weights or not old_weights or not new_weights:
            continue
        old_loss, new_loss = (
            evidence.total_loss(new_epoch, old_weights),
            evidence.total_loss(new_epoch, new_weights),
        )
        if not old_loss or new_loss is None:
            continue
        shift = abs(new_loss - old_loss) / abs(old_loss)
        if shift >= MIN_SHIFT and (largest is None or shift > largest[0]):
            largest = (shift, old_epoch, new_epoch, old_loss, new_loss)
    if largest is None:
        return None
    shift, old_epoch, new_epoch, old_loss, new_loss = largest
    measure = evidence.config.validation.measure
    values = [evidence.value_at(f"val/{measure}", epoch) or 0.0 for epoch in (old_epoch, new_epoch)]
    return Finding(
        name="phases_not_comparable",
        title="The loss before and after a change of phase are different functions",
        evidence=(
            f"At epoch {new_epoch} the same network has a total loss of {old_loss:.4f} under the "
            f"weights of epoch {old_epoch} and of {new_loss:.4f} under the new ones: "
            f"{(new_loss - old_loss) / old_loss:+.0%} without any learning, while {measure} went "
            f"from {values[0]:.4f} to {values[1]:.4f}."
        ),
        remedy=(
            f"Never call a loss the best across epoch {new_epoch}: read val/{measure}, which the "
            "scheduler and best.pt follow, or val/loss_dice, which keeps its meaning."
        ),
        severity="warning",
        epochs=(old_epoch, new_epoch),
        numbers={"loss_old_weights": old_loss, "loss_new_weights": new_loss, "shift": shift},
    )

"""The network does not fit its training cases."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.fit import fit_history
from vesuv.diagnosis.render import epochs
from vesuv.runs.records import Finding

MAX_DICE = 0.6
"""Dice on training tiles, at their best threshold, from which a network fits."""
MAX_GAP = 0.1
"""Gap in Dice between training and validation tiles from which a network fits."""
NUM_VALIDATIONS = 5
"""Validations from which a run can be judged."""
MIN_SLOPE = 0.01
"""Dice per epoch, over the last three validations, from which more epochs are proposed first."""


def find(evidence: Evidence) -> Finding | None:
    """Find a low Dice on training and validation tiles alike."""
    history = fit_history(evidence)
    if len(history) < NUM_VALIDATIONS:
        return None
    last, earlier = history[-1], history[-3]
    if last.train >= MAX_DICE or last.gap >= MAX_GAP:
        return None
    slope = (last.train - earlier.train) / max(1, last.epoch - earlier.epoch)
    config = evidence.config
    is_climbing = slope >= MIN_SLOPE
    remedy = (
        f"It is still climbing: --set train.epochs={2 * config.train.epochs} or "
        f"optimizer.lr={2 * config.optimizer.lr:.2g}."
        if is_climbing
        else f"It has stopped: try --set optimizer.lr={3 * config.optimizer.lr:.2g}, then a larger "
        f"network ({_larger(evidence)}) and fewer loss terms than {', '.join(config.terms)}; if "
        "that does not move it, compare images and labels of a case by eye."
    )
    return Finding(
        name="under_fitting",
        title="Not even the training cases are learnt",
        evidence=(
            f"In {epochs(history[0].epoch, last.epoch)} Dice at the best threshold rose to "
            f"{last.train:.3f} on tiles of training cases and {last.validation:.3f} on validation "
            f"tiles, by {slope:+.4f} an epoch since epoch {earlier.epoch}."
        ),
        remedy=remedy,
        severity="warning" if is_climbing else "trouble",
        epochs=(history[0].epoch, last.epoch),
        numbers={"train_dice": last.train, "validation_dice": last.validation, "slope": slope},
    )


def _larger(evidence: Evidence) -> str:
    model = evidence.config.model
    filters = getattr(model, "filters", None)
    return f"model.filters={2 * filters}" if isinstance(filters, int) else "model.variant=B"

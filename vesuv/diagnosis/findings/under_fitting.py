"""Not even the training cases are learnt."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.fit import fits
from vesuv.diagnosis.render import epochs
from vesuv.runs.records import Finding

LOW = 0.6
"""Dice on training tiles, at their best threshold, that a network which fits surpasses."""
GAP = 0.1
"""Training tiles are better than validation tiles by less."""
VALIDATIONS = 5
"""Validations from which a run can be judged."""
CLIMBS = 0.01
"""Dice an epoch, over the last three validations, from which more epochs are the first remedy."""


def find(evidence: Evidence) -> Finding | None:
    """Find a low Dice on training and validation tiles alike."""
    known = fits(evidence)
    if len(known) < VALIDATIONS:
        return None
    last, before = known[-1], known[-3]
    if last.train >= LOW or last.gap >= GAP:
        return None
    slope = (last.train - before.train) / max(1, last.epoch - before.epoch)
    config = evidence.config
    climbing = slope >= CLIMBS
    remedy = (
        f"It is still climbing: --set train.epochs={2 * config.train.epochs} or "
        f"optimizer.lr={2 * config.optimizer.lr:.2g}."
        if climbing
        else f"It has stopped: try --set optimizer.lr={3 * config.optimizer.lr:.2g}, then a larger "
        f"network ({_larger(evidence)}) and fewer loss terms than {', '.join(config.terms)}; if "
        "that does not move it, compare images and labels of a case by eye."
    )
    return Finding(
        name="under_fitting",
        title="Not even the training cases are learnt",
        evidence=(
            f"In {epochs(known[0].epoch, last.epoch)} Dice at the best threshold rose to "
            f"{last.train:.3f} on tiles of training cases and {last.validation:.3f} on validation "
            f"tiles, by {slope:+.4f} an epoch since epoch {before.epoch}."
        ),
        remedy=remedy,
        severity="warning" if climbing else "trouble",
        epochs=(known[0].epoch, last.epoch),
        numbers={"train_dice": last.train, "validation_dice": last.validation, "slope": slope},
    )


def _larger(evidence: Evidence) -> str:
    model = evidence.config.model
    filters = getattr(model, "filters", None)
    return f"model.filters={2 * filters}" if isinstance(filters, int) else "model.variant=B"

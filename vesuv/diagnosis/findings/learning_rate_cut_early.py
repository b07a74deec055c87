"""The learning rate was cut before the model had moved."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import percent
from vesuv.runs.records import Finding

LOW = 0.3
"""Share of the highest rate so far, at or below which it counts as cut."""
EARLY = 0.6
"""Share of the run by which that is early."""
MOVED = 0.1
"""Gain of the measure since the first validation from which the model has moved."""
RISING = 0.02
"""Gain over the last two validations from which it was still rising."""


def find(evidence: Evidence) -> Finding | None:
    """Find the first epoch whose rate is low early in the run, the measure unmoved or still rising.

    The warm-up does not count, since the rate is compared with the highest so far, nor does a cycle
    of a cosine after which the rate has come back.
    """
    low = _first_low(evidence)
    measure = evidence.config.validation.measure
    known = [(epoch, value) for epoch, value in evidence.points(f"val/{measure}")]
    if low is None:
        return None
    epoch, lr, highest = low
    until = [value for when, value in known if when < epoch]
    if len(until) < 2 or epoch >= EARLY * evidence.config.train.epochs:
        return None
    gain, recent = max(until) - until[0], until[-1] - until[max(0, len(until) - 3)]
    unmoved, rising = gain < MOVED, recent > RISING
    if not unmoved and not rising:
        return None
    cuts = sum(event.kind == "learning_rate" and event.epoch <= epoch for event in evidence.events)
    return Finding(
        name="learning_rate_cut_early",
        title="The learning rate was cut before the model had moved"
        if unmoved
        else "The learning rate was cut while the model was still learning",
        evidence=(
            f"By epoch {epoch} of {evidence.config.train.epochs} the rate had gone from "
            f"{highest:.2g} to {lr:.2g} ({percent(lr / highest)})"
            f"{f' in {cuts} cuts' if cuts else ''}, when {measure} had gained {gain:.3f} since the "
            f"first validation, {recent:+.3f} of it over the last {min(2, len(until) - 1)}."
        ),
        remedy=_remedy(evidence),
        severity="trouble" if unmoved else "warning",
        epochs=(0, epoch),
        numbers={"lr": lr, "highest_lr": highest, "gain": gain, "recent_gain": recent},
    )


def _first_low(evidence: Evidence) -> tuple[int, float, float] | None:
    """Epoch, rate and highest rate before it, where the rate fell for good."""
    low, highest = None, 0.0
    for epoch, lr in evidence.points("lr"):
        highest = max(highest, lr)
        if lr > LOW * highest:
            low = None
        elif low is None and lr > 0.0:
            low = epoch, lr, highest
    return low


def _remedy(evidence: Evidence) -> str:
    scheduler = evidence.config.scheduler
    if scheduler.name == "plateau":
        return (
            f"--set scheduler.patience={max(8, 2 * scheduler.patience)} "
            f"scheduler.threshold={min(scheduler.threshold, 5e-4):g}, or scheduler.name=poly, "
            "which follows the epochs alone."
        )
    if scheduler.name == "cosine":
        return (
            f"--set scheduler.t_0={max(2 * scheduler.t_0, evidence.config.train.epochs)}, "
            "or scheduler.name=poly."
        )
    return f"--set scheduler.power=0.9 train.epochs={2 * evidence.config.train.epochs}."

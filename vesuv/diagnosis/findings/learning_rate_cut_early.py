"""The learning rate was cut while the measure had not risen yet or was still rising."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.findings import over_fitting
from vesuv.diagnosis.remedies import more_epochs
from vesuv.diagnosis.render import percent
from vesuv.runs.records import Finding

MAX_RATE_RATIO = 0.3
"""Ratio to the highest rate so far, at or below which the rate counts as cut."""
MAX_RUN_SHARE = 0.6
"""Share of the run's epochs before which a cut is early."""
MIN_GAIN = 0.1
"""Gain of the measure since the first validation, below which it has not risen."""
MIN_RECENT_GAIN = 0.02
"""Gain over the last two validations, above which the measure is still rising."""
PLATEAU_THRESHOLD = 5e-4
"""Threshold of the plateau schedule that is proposed in place of a higher one."""
POLY_POWER = 0.9
"""Power of the polynomial schedule that is proposed in place of a higher one."""


def find(evidence: Evidence) -> Finding | None:
    """Find a lasting cut early in the run while the measure had not risen or was still rising.

    The warm-up is no cut, since the rate is compared with the highest so far; nor is a cycle of the
    cosine schedule, after which the rate rises again.
    """
    cut = _rate_cut(evidence)
    measure = evidence.config.validation.measure
    points = [(epoch, value) for epoch, value in evidence.points(f"val/{measure}")]
    if cut is None:
        return None
    epoch, lr, highest = cut
    values = [value for point_epoch, value in points if point_epoch < epoch]
    if len(values) < 2 or epoch >= MAX_RUN_SHARE * evidence.config.train.epochs:
        return None
    gain, recent_gain = max(values) - values[0], values[-1] - values[max(0, len(values) - 3)]
    is_unmoved, is_rising = gain < MIN_GAIN, recent_gain > MIN_RECENT_GAIN
    if not is_unmoved and not is_rising:
        return None
    num_cuts = sum(
        event.kind == "learning_rate" and event.epoch <= epoch for event in evidence.events
    )
    return Finding(
        name="learning_rate_cut_early",
        title="The learning rate was cut before the model had moved"
        if is_unmoved
        else "The learning rate was cut while the model was still learning",
        evidence=(
            f"By epoch {epoch} of {evidence.config.train.epochs} the rate had gone from "
            f"{highest:.2g} to {lr:.2g} ({percent(lr / highest)})"
            f"{f' in {num_cuts} cuts' if num_cuts else ''}, when {measure} had gained {gain:.3f} "
            f"since the first validation, {recent_gain:+.3f} of it over the last "
            f"{min(2, len(values) - 1)}."
        ),
        remedy=_remedy(evidence),
        severity="trouble" if is_unmoved else "warning",
        epochs=(0, epoch),
        numbers={"lr": lr, "highest_lr": highest, "gain": gain, "recent_gain": recent_gain},
    )


def _rate_cut(evidence: Evidence) -> tuple[int, float, float] | None:
    """Epoch, rate and highest rate before the cut after which the rate stayed low."""
    cut, highest = None, 0.0
    for epoch, lr in evidence.points("lr"):
        highest = max(highest, lr)
        if lr > MAX_RATE_RATIO * highest:
            cut = None
        elif cut is None and lr > 0.0:
            cut = epoch, lr, highest
    return cut


def _remedy(evidence: Evidence) -> str:
    scheduler = evidence.config.scheduler
    if scheduler.name == "plateau":
        has_high_threshold = scheduler.threshold > PLATEAU_THRESHOLD
        return (
            f"--set scheduler.patience={max(8, 2 * scheduler.patience)}"
            f"{f' scheduler.threshold={PLATEAU_THRESHOLD:g}' if has_high_threshold else ''}, or "
            "scheduler.name=poly, which follows the epochs alone."
        )
    if scheduler.name == "cosine":
        return (
            f"--set scheduler.t_0={max(2 * scheduler.t_0, evidence.config.train.epochs)}, "
            "or scheduler.name=poly."
        )
    settings = []
    if getattr(scheduler, "power", 0.0) > POLY_POWER:
        settings.append(f"scheduler.power={POLY_POWER:g}")
    if over_fitting.find(evidence) is None:
        settings.append(more_epochs(evidence.config, 2 * evidence.config.train.epochs))
    return f"--set {' '.join(settings)}." if settings else "Take another scheduler.name."

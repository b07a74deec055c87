"""The network does not fit its training cases, or a short run ends before it could."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.fit import NUM_VALIDATIONS, Fit, class_fit_histories, is_under_fitted
from vesuv.diagnosis.learning_rate import higher_rate, remedy_of_decay, signs_of_excess
from vesuv.diagnosis.remedies import more_epochs
from vesuv.diagnosis.render import dice_of, epochs, others_text
from vesuv.diagnosis.trend import is_still_improving
from vesuv.runs.records import Finding

MIN_SLOPE = 0.01
"""Dice per epoch, over the last three validations, from which more epochs are proposed first."""
MAX_SHORT_STEPS = 5000
"""Optimiser steps of a short run. In 250 of them Muon reached the Dice of AdamW's 800."""
END_SHARE = 0.9
"""Share of the epochs from which a run has ended."""
MIN_LATE_GAIN = 0.02
"""Dice of validation tiles gained in the second half of a run that was still learning."""
MAX_GAP_GROWTH = 0.02
"""Growth of the gap between training and validation tiles meanwhile, below which nothing was
learnt by heart."""

_MUON = "--set 'optimizer={name: muon}', whose steps are larger"


def find(evidence: Evidence) -> Finding | None:
    """Find a low Dice of training cases, or a short run that more steps would have helped."""
    return _finding_of_low_dice(evidence) or _finding_of_slow_optimizer(evidence)


def _finding_of_low_dice(evidence: Evidence) -> Finding | None:
    """Find a low Dice on training and validation tiles alike.

    Not while it is still improving, and not where the learning rate is too high, which
    `learning_rate_too_high` reports.
    """
    histories = {
        name: history
        for name, history in class_fit_histories(evidence).items()
        if is_under_fitted(history)
        and not evidence.is_hidden(name)
        and not is_still_improving(evidence, [fit.train for fit in history])
    }
    if not histories or signs_of_excess(evidence):
        return None
    name = min(histories, key=lambda key: histories[key][-1].train)
    history = histories[name]
    last, earlier = history[-1], history[-3]
    slope = (last.train - earlier.train) / max(1, last.epoch - earlier.epoch)
    is_climbing = slope >= MIN_SLOPE
    return Finding(
        name="under_fitting",
        title="Not even the training cases are learnt"
        if not evidence.has_several_classes
        else f"Class {name!r} is not even learnt on the training cases",
        evidence=(
            f"In {epochs(history[0].epoch, last.epoch)} {dice_of(evidence, name)} rose to "
            f"{last.train:.3f} on tiles of training cases and {last.validation:.3f} on validation "
            f"tiles, by {slope:+.4f} an epoch since epoch {earlier.epoch}."
            + others_text(len(histories) - 1)
        ),
        remedy=remedy_of_decay(evidence)
        or (_remedy_of_climbing(evidence) if is_climbing else _remedy_of_stuck(evidence)),
        severity="warning" if is_climbing else "trouble",
        epochs=(history[0].epoch, last.epoch),
        numbers={"train_dice": last.train, "validation_dice": last.validation, "slope": slope},
    )


def _remedy_of_climbing(evidence: Evidence) -> str:
    rate = higher_rate(evidence, 2)
    rate_text = "" if rate is None else f" or optimizer.lr={rate:.2g}"
    longer_run = more_epochs(evidence.config, 2 * evidence.config.train.epochs)
    if _has_ended(evidence) and _short_run_steps(evidence) is not None:
        return f"It is still climbing: {_MUON}, or {longer_run}{rate_text}."
    return f"It is still climbing: --set {longer_run}{rate_text}."


def _remedy_of_stuck(evidence: Evidence) -> str:
    rate, terms = higher_rate(evidence, 3), evidence.config.terms
    steps = [] if rate is None else [f"--set optimizer.lr={rate:.2g}"]
    steps += [f"a larger network{_larger(evidence)}"]
    if len(terms) > 1:
        steps += [f"fewer loss terms than {', '.join(terms)}"]
    return (
        f"It has stopped: try {', then '.join(steps)}; if that does not move it, compare images "
        "and labels of a case by eye."
    )


def _larger(evidence: Evidence) -> str:
    """The setting of a larger network in brackets; empty for a network without sizes."""
    model = evidence.config.model
    filters, variant = getattr(model, "filters", None), getattr(model, "variant", None)
    if isinstance(filters, int):
        return f" (model.filters={2 * filters})"
    larger_variant = {"S": "B", "B": "M", "M": "L"}.get(str(variant))
    return f" (model.variant={larger_variant})" if larger_variant else ""


def _finding_of_slow_optimizer(evidence: Evidence) -> Finding | None:
    """Find a short run of another optimiser than Muon whose Dice rose on all tiles to the end."""
    steps = _short_run_steps(evidence)
    if steps is None or not _has_ended(evidence):
        return None
    for name, history in class_fit_histories(evidence).items():
        if len(history) < NUM_VALIDATIONS:
            continue
        middle, last = history[len(history) // 2], history[-1]
        gain = last.validation - middle.validation
        if gain >= MIN_LATE_GAIN and last.gap - middle.gap < MAX_GAP_GROWTH:
            return _slow_optimizer(evidence, name, middle, last, steps)
    return None


def _short_run_steps(evidence: Evidence) -> int | None:
    """Return the steps of a short run that another optimiser than Muon trains; else None."""
    train = evidence.config.train
    if evidence.config.optimizer.name == "muon" or train.steps_per_epoch is None:
        return None
    steps = train.epochs * train.steps_per_epoch
    return steps if steps <= MAX_SHORT_STEPS else None


def _has_ended(evidence: Evidence) -> bool:
    return evidence.epoch + 1 >= END_SHARE * evidence.config.train.epochs


def _slow_optimizer(evidence: Evidence, name: str, middle: Fit, last: Fit, steps: int) -> Finding:
    optimizer = evidence.config.optimizer.name
    return Finding(
        name="under_fitting",
        title=f"The run ended while it was learning: {steps} steps are few for {optimizer}",
        evidence=(
            f"From epoch {middle.epoch} to {last.epoch} {dice_of(evidence, name)} rose from "
            f"{middle.validation:.3f} to {last.validation:.3f} on validation tiles and from "
            f"{middle.train:.3f} to {last.train:.3f} on tiles of training cases: nothing was "
            "learnt by heart, and the steps ended first."
        ),
        remedy=(f"{_MUON}, or {more_epochs(evidence.config, 2 * evidence.config.train.epochs)}."),
        severity="warning",
        epochs=(middle.epoch, last.epoch),
        numbers={"train_dice": last.train, "validation_dice": last.validation, "steps": steps},
    )

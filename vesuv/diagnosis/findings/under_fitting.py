"""The network does not fit its training cases."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.fit import class_fit_histories, is_under_fitted
from vesuv.diagnosis.learning_rate import higher_rate, remedy_of_decay, signs_of_excess
from vesuv.diagnosis.remedies import more_epochs
from vesuv.diagnosis.render import dice_of, epochs, others_text
from vesuv.diagnosis.short_run import MUON, has_ended, short_run_steps
from vesuv.diagnosis.trend import is_still_improving
from vesuv.runs.records import Finding

MIN_SLOPE = 0.01
"""Dice per epoch, over the last three validations, from which more epochs are proposed first."""


def find(evidence: Evidence) -> Finding | None:
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
    if has_ended(evidence) and short_run_steps(evidence) is not None:
        return f"It is still climbing: {MUON}, or {longer_run}{rate_text}."
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

"""The prediction is a constant."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.learning_rate import (
    higher_rate,
    lower_rate,
    remedy_of_decay,
    signs_of_excess,
)
from vesuv.diagnosis.render import epochs, others_text, percent
from vesuv.diagnosis.thresholds import mean_probability
from vesuv.diagnosis.trend import is_still_improving
from vesuv.runs.records import Finding

MIN_GAP = 0.03
"""Gap between the mean probabilities on foreground and on background, below which the prediction
counts as a constant: 1 minus the loss `variance: separation`, which is 1 for a constant."""
NUM_VALIDATIONS = 2
"""Consecutive validations with a smaller gap, the run's first not counted."""
NUM_CLASS_VALIDATIONS = 3
"""The same for one of several classes, which the most probable class hides for a while."""
MIN_CLASS_VALIDATIONS = 5
"""Validations, the first not counted, from which one of several classes is judged."""
_SIMPLEST_LOSS = "'phases=[{epochs: [0, null], weights: {dice: 1.0, cross_entropy: 1.0}}]'"


def find(evidence: Evidence) -> Finding | None:
    """Find probabilities that do not separate foreground from background.

    Every network starts like this; it is a finding from the second validation on, unless the gap
    is widening. Of several classes each is judged by the predicted classes.
    """
    return _constant_class(evidence) if evidence.has_several_classes else _constant(evidence)


def _constant(evidence: Evidence) -> Finding | None:
    gaps = _gaps(evidence)
    recent = gaps[-NUM_VALIDATIONS:]
    if len(recent) < NUM_VALIDATIONS or any(gap >= MIN_GAP for _, gap, _ in recent):
        return None
    first, last = recent[0][0], recent[-1][0]
    _, gap, background_mean = recent[-1]
    widest_gap = max(gap for _, gap, _ in gaps)
    fraction = evidence.value_at("val/predicted_fraction", last)
    mask_text = "" if fraction is None else f", and the mask is {percent(fraction)} foreground"
    has_collapsed = widest_gap >= 2 * MIN_GAP
    widths = [width for _, width, _ in _gaps(evidence, first=0)]
    if not has_collapsed and is_still_improving(evidence, widths, MIN_GAP / 3):
        return None
    return Finding(
        name="collapse",
        title=f"The prediction {'has collapsed to' if has_collapsed else 'is still'} a constant",
        evidence=(
            f"In {epochs(first, last)} the mean probability is {background_mean + gap:.3f} on "
            f"labelled foreground and {background_mean:.3f} on background, a gap of "
            f"{gap:.3f}{mask_text}"
            + (
                f"; the gap had been {widest_gap:.2f} before."
                if has_collapsed
                else "; it was never wider."
            )
        ),
        remedy=(_remedy_of_collapsed(evidence) if has_collapsed else _remedy_of_constant(evidence)),
        severity="trouble",
        epochs=(first, last),
        numbers={"gap": gap, "probability": background_mean, "widest_gap": widest_gap},
    )


def _remedy_of_collapsed(evidence: Evidence) -> str:
    if text := remedy_of_decay(evidence):
        return text
    decay = evidence.config.optimizer.weight_decay
    decay_text = f" and optimizer.weight_decay={decay / 10:.2g}" if decay else ""
    return (
        f"Start again with --set optimizer.lr={lower_rate(evidence, 5):.2g}; if it falls back "
        f"again, with the simplest loss, {_SIMPLEST_LOSS}{decay_text}."
    )


def _remedy_of_constant(evidence: Evidence) -> str:
    if by_decay := remedy_of_decay(evidence):
        return by_decay
    text = (
        "It never began to learn: see to the other findings first (labels, weights that stand "
        f"still); then begin with the simplest loss, --set {_SIMPLEST_LOSS}"
    )
    if signs_of_excess(evidence):
        return f"{text}, and optimizer.lr={lower_rate(evidence):.2g}."
    rate = higher_rate(evidence, 3)
    return f"{text}." if rate is None else f"{text}, and optimizer.lr={rate:.2g}."


def _constant_class(evidence: Evidence) -> Finding | None:
    """Find a class that is predicted as often on other voxels as on its own."""
    seen = [name for name in evidence.foreground_classes if not evidence.is_hidden(name)]
    excesses = {name: _recall_excesses(evidence, name) for name in seen}
    constant = {
        name: points
        for name, points in excesses.items()
        if len(points) >= MIN_CLASS_VALIDATIONS
        and all(excess < MIN_GAP for _, excess in points[-NUM_CLASS_VALIDATIONS:])
        and not is_still_improving(evidence, [excess for _, excess in points], MIN_GAP / 3)
    }
    if not constant:
        return None
    name = min(constant, key=lambda key: constant[key][-1][1])
    recent = constant[name][-NUM_CLASS_VALIDATIONS:]
    first, (last, excess) = recent[0][0], recent[-1]
    widest = max(value for _, value in constant[name])
    has_collapsed = widest >= 2 * MIN_GAP
    fraction = evidence.value_at(evidence.class_column("val/predicted_fraction", name), last) or 0.0
    return Finding(
        name="collapse",
        title=f"Class {name!r} is {'no longer' if has_collapsed else 'not'} told apart",
        evidence=(
            f"In {epochs(first, last)} the share of voxels predicted as class {name!r} is "
            f"{excess:.3f} higher on its own voxels than on all others, and "
            f"{percent(fraction)} of the voxels are predicted as it"
            + (
                f"; the difference had been {widest:.2f} before."
                if has_collapsed
                else "; it was never wider."
            )
            + others_text(len(constant) - 1)
        ),
        remedy=_remedy_of_collapsed(evidence) if has_collapsed else _remedy_of_constant(evidence),
        severity="trouble",
        epochs=(first, last),
        numbers={"gap": excess, "probability": fraction, "widest_gap": widest},
    )


def _recall_excesses(evidence: Evidence, name: str) -> list[tuple[int, float]]:
    """Epoch, and recall minus false-positive rate of one class, at its validations."""
    points = []
    for epoch in evidence.validation_epochs[1:]:
        precision, recall, predicted, labelled = (
            evidence.value_at(evidence.class_column(f"val/{column}", name), epoch)
            for column in ("precision", "recall", "predicted_fraction", "labelled_fraction")
        )
        if None in (precision, recall, predicted) or not labelled or labelled >= 1.0:
            continue
        assert precision is not None and recall is not None and predicted is not None
        points.append((epoch, recall - predicted * (1 - precision) / (1 - labelled)))
    return points


def _gaps(evidence: Evidence, first: int = 1) -> list[tuple[int, float, float]]:
    """Epoch, gap, and mean probability on background of each validation from the second on."""
    gaps = []
    for line in evidence.observations[first:]:
        if line.histogram is None:
            continue
        foreground_mean = mean_probability(line.histogram.foreground)
        background_mean = mean_probability(line.histogram.background)
        if foreground_mean is not None and background_mean is not None:
            gaps.append((line.epoch, foreground_mean - background_mean, background_mean))
    return gaps

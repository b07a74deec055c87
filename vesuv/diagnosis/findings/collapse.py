"""The prediction is a constant."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, percent
from vesuv.diagnosis.thresholds import mean_probability
from vesuv.runs.records import Finding

MIN_GAP = 0.03
"""Gap between the mean probabilities on foreground and on background, below which the prediction
counts as a constant: 1 minus the loss `variance: separation`, which is 1 for a constant."""
NUM_VALIDATIONS = 2
"""Consecutive validations with a smaller gap, the run's first not counted."""
_SIMPLEST_LOSS = "'phases=[{epochs: [0, null], weights: {dice: 1.0, cross_entropy: 1.0}}]'"


def find(evidence: Evidence) -> Finding | None:
    """Find probabilities that do not separate foreground from background.

    Every network starts like this; it is a finding from the second validation on.
    """
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
        remedy=(
            f"Start again with --set optimizer.lr={evidence.config.optimizer.lr / 5:.2g}; if it "
            f"falls back again, with the simplest loss, {_SIMPLEST_LOSS}, and a smaller "
            "weight_decay."
            if has_collapsed
            else "It never began to learn: see to the other findings first (labels, weights that "
            f"stand still); then begin with the simplest loss, --set {_SIMPLEST_LOSS}, and "
            f"optimizer.lr={3 * evidence.config.optimizer.lr:.2g}."
        ),
        severity="trouble",
        epochs=(first, last),
        numbers={"gap": gap, "probability": background_mean, "widest_gap": widest_gap},
    )


def _gaps(evidence: Evidence) -> list[tuple[int, float, float]]:
    """Epoch, gap, and mean probability on background of every validation but the first."""
    gaps = []
    for line in evidence.observations[1:]:
        if line.histogram is None:
            continue
        foreground_mean = mean_probability(line.histogram.foreground)
        background_mean = mean_probability(line.histogram.background)
        if foreground_mean is not None and background_mean is not None:
            gaps.append((line.epoch, foreground_mean - background_mean, background_mean))
    return gaps

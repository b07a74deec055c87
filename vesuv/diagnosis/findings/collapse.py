"""The prediction is the same everywhere."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, percent
from vesuv.diagnosis.thresholds import mean_probability
from vesuv.runs.records import Finding

LEAST_GAP = 0.03
"""Gap between the mean probability on foreground and on background below which there is nothing
but a constant: 1 minus the loss `variance: separation`, whose value at a constant is 1."""
VALIDATIONS = 2
"""That many in a row, not counting the run's first."""
_SIMPLEST = "'phases=[{epochs: [0, null], weights: {dice: 1.0, cross_entropy: 1.0}}]'"


def find(evidence: Evidence) -> Finding | None:
    """Find probabilities that do not tell foreground from background at all.

    Every network starts like this; it is a finding when it still is so at the second validation or
    later, or is so again.
    """
    gaps = _gaps(evidence)
    recent = gaps[-VALIDATIONS:]
    if len(recent) < VALIDATIONS or any(gap >= LEAST_GAP for _, gap, _ in recent):
        return None
    first, last = recent[0][0], recent[-1][0]
    _, gap, level = recent[-1]
    best = max(gap for _, gap, _ in gaps)
    predicted = evidence.at("val/predicted_fraction", last)
    mask = "" if predicted is None else f", and the mask is {percent(predicted)} foreground"
    fell = best >= 2 * LEAST_GAP
    return Finding(
        name="collapse",
        title=f"The prediction {'has collapsed to' if fell else 'is still'} a constant",
        evidence=(
            f"In {epochs(first, last)} the mean probability is {level + gap:.3f} on labelled "
            f"foreground and {level:.3f} on background, a gap of {gap:.3f}{mask}"
            + (f"; the gap had been {best:.2f} before." if fell else "; it was never wider.")
        ),
        remedy=(
            f"Start again with --set optimizer.lr={evidence.config.optimizer.lr / 5:.2g}; if it "
            f"falls back again, with the simplest loss, {_SIMPLEST}, and a smaller weight_decay."
            if fell
            else "It never began to learn: see to the other findings first (labels, weights that "
            f"stand still); then begin with the simplest loss, --set {_SIMPLEST}, and "
            f"optimizer.lr={3 * evidence.config.optimizer.lr:.2g}."
        ),
        severity="trouble",
        epochs=(first, last),
        numbers={"gap": gap, "probability": level, "widest_gap": best},
    )


def _gaps(evidence: Evidence) -> list[tuple[int, float, float]]:
    """Epoch, gap and mean probability on background of every validation but the first."""
    gaps = []
    for line in evidence.observations[1:]:
        if line.histogram is None:
            continue
        inside = mean_probability(line.histogram.foreground)
        outside = mean_probability(line.histogram.background)
        if inside is not None and outside is not None:
            gaps.append((line.epoch, inside - outside, outside))
    return gaps

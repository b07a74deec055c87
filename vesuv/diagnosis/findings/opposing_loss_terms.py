"""Two loss terms with opposing gradients."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.runs.observation import GradientComparison
from vesuv.runs.records import Finding

MAX_COSINE = -0.3
"""Cosine below which two gradients oppose each other: a third of the step is undone. Compatible
terms had 0.12 or more in their second worst group of layers."""
MIN_GROUPS = 2
"""Groups of layers with such a cosine: in the last layer alone even Dice and cross-entropy oppose
each other, since their optimal probabilities for one mask differ."""
ENCODER = "encoder"
"""Group that must be among them: at the minimum of a sum of terms their gradients cancel, and a run
that converges comes near it in the layers next to the loss first. Dice and cross-entropy had -0.90
in the output and -0.65 in the decoder, but -0.01 in the encoder, at the end of a healthy run."""
MIN_NORM_RATIO = 0.1
"""Ratio of the smaller to the larger gradient's norm, below which the smaller has no effect."""


def find(evidence: Evidence) -> Finding | None:
    """Find the pair of terms whose weighted gradients oppose in the most groups of layers.

    The first comparison alone says nothing: terms of an untrained network can oppose each other.
    """
    comparisons = [(line.epoch, line.gradients) for line in evidence.observations if line.gradients]
    if len(comparisons) < 2:
        return None
    epoch, last = comparisons[-1]
    opposing = _opposing_pairs(last)
    if not opposing:
        return None
    pair, groups = max(opposing.items(), key=lambda item: (len(item[1]), -min(item[1].values())))
    first, second = pair.split("|")
    layers = ", ".join(f"{g} {c:.2f}" for g, c in sorted(groups.items(), key=lambda item: item[1]))
    group = min(groups, key=lambda name: groups[name])
    norm = last.norms[group]
    first_epoch = min((e for e, c in comparisons if pair in _opposing_pairs(c)), default=epoch)
    weaker_term = min((first, second), key=lambda term: norm[term])
    return Finding(
        name="opposing_loss_terms",
        title=f"The loss terms {first} and {second} pull against each other",
        evidence=(
            f"At epoch {epoch} the cosine between their weighted gradients is, by layers: "
            f"{layers} (first seen at epoch {first_epoch}); in {group} their norms are "
            f"{norm[first]:.2g} and {norm[second]:.2g}, so a good part of each step is undone."
        ),
        remedy=(
            f"Take {weaker_term} out of phases, or bring it in late with a small weight and a "
            "ramp; then compare the two runs with diagnose --run A B."
        ),
        severity="warning",
        epochs=(first_epoch, epoch),
        numbers={
            "cosine": groups[group],
            "groups": len(groups),
            f"norm_{first}": norm[first],
            f"norm_{second}": norm[second],
        },
    )


def _opposing_pairs(comparison: GradientComparison) -> dict[str, dict[str, float]]:
    """Pair of terms -> group of layers -> cosine, for pairs that oppose in MIN_GROUPS or more."""
    opposing: dict[str, dict[str, float]] = {}
    for group, pairs in comparison.cosines.items():
        norm = comparison.norms.get(group, {})
        for pair, cosine in pairs.items():
            first, second = (norm.get(term, 0.0) for term in pair.split("|"))
            if cosine < MAX_COSINE and _norm_ratio(first, second) > MIN_NORM_RATIO:
                opposing.setdefault(pair, {})[group] = cosine
    needed = {ENCODER} & comparison.cosines.keys()
    return {
        pair: groups
        for pair, groups in opposing.items()
        if len(groups) >= MIN_GROUPS and needed <= groups.keys()
    }


def _norm_ratio(first: float, second: float) -> float:
    return min(first, second) / max(first, second, 1e-30)

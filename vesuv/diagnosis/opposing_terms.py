"""Loss terms that pull the weights in opposite directions."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.finding import Finding
from vesuv.diagnosis.wording import epochs

OPPOSED = -0.3
"""Cosine below which two gradients oppose each other: a third of the step is undone."""
LEAST_SHARE = 0.1
"""Of the larger gradient's norm: a smaller one does not matter, wherever it points."""
LOOKS = 2
"""Looks in a row that must agree."""


def find(evidence: Evidence) -> Finding | None:
    """Find the pair of terms whose weighted gradients oppose each other most, in any layers."""
    looks = [(line.epoch, line.gradients) for line in evidence.observations if line.gradients]
    recent = looks[-LOOKS:]
    if len(recent) < LOOKS:
        return None
    means: dict[tuple[str, str], float] = {}
    for group, pairs in recent[-1][1].cosines.items():
        for pair in pairs:
            one, other = pair.split("|")
            cosines = [look.cosines.get(group, {}).get(pair, 0.0) for _, look in recent]
            norms = [look.norms.get(group, {}) for _, look in recent]
            shares = [_share(norm.get(one, 0.0), norm.get(other, 0.0)) for norm in norms]
            if max(cosines) < OPPOSED and min(shares) > LEAST_SHARE:
                means[group, pair] = sum(cosines) / len(cosines)
    if not means:
        return None
    (group, pair), cosine = min(means.items(), key=lambda item: item[1])
    one, other = pair.split("|")
    first, last = recent[0][0], recent[-1][0]
    listed = ", ".join(
        f"{g} {c:.2f}" for (g, p), c in sorted(means.items(), key=lambda item: item[1]) if p == pair
    )
    norm = recent[-1][1].norms[group]
    weaker = min((one, other), key=lambda term: norm[term])
    return Finding(
        name="opposing_loss_terms",
        title=f"The loss terms {one} and {other} pull against each other",
        evidence=(
            f"In {epochs(first, last)} the cosine between their weighted gradients is, by layers: "
            f"{listed}; in {group} their norms are {norm[one]:.2g} and {norm[other]:.2g}, so a "
            "good part of each step is undone."
        ),
        remedy=(
            f"Take {weaker} out of phases, or bring it in late with a small weight and a ramp; "
            "then compare the two runs with diagnose --run A B."
        ),
        severity="warning",
        epochs=(first, last),
        numbers={"cosine": cosine, f"norm_{one}": norm[one], f"norm_{other}": norm[other]},
    )


def _share(one: float, other: float) -> float:
    return min(one, other) / max(one, other, 1e-30)

"""Loss terms that pull the weights in opposite directions."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.runs.records import Finding, GradientLook

OPPOSED = -0.3
"""Cosine below which two gradients oppose each other: a third of the step is undone. Terms that go
together had 0.12 or more in the second worst group of layers of any look."""
GROUPS = 2
"""Groups of layers in which that must be so: in the last layer alone even Dice and cross-entropy
oppose each other, since they want other levels of probability for the same mask."""
LEAST_SHARE = 0.1
"""Of the larger gradient's norm: a smaller one does not matter, wherever it points."""


def find(evidence: Evidence) -> Finding | None:
    """Find the pair of terms whose weighted gradients oppose each other in most layers."""
    looks = [(line.epoch, line.gradients) for line in evidence.observations if line.gradients]
    if not looks:
        return None
    epoch, last = looks[-1]
    found = _opposed(last)
    if not found:
        return None
    pair, groups = max(found.items(), key=lambda item: (len(item[1]), -min(item[1].values())))
    one, other = pair.split("|")
    listed = ", ".join(f"{g} {c:.2f}" for g, c in sorted(groups.items(), key=lambda item: item[1]))
    group = min(groups, key=lambda name: groups[name])
    norm = last.norms[group]
    since = min((e for e, look in looks if pair in _opposed(look)), default=epoch)
    weaker = min((one, other), key=lambda term: norm[term])
    return Finding(
        name="opposing_loss_terms",
        title=f"The loss terms {one} and {other} pull against each other",
        evidence=(
            f"At epoch {epoch} the cosine between their weighted gradients is, by layers: {listed} "
            f"(first seen at epoch {since}); in {group} their norms are {norm[one]:.2g} and "
            f"{norm[other]:.2g}, so a good part of each step is undone."
        ),
        remedy=(
            f"Take {weaker} out of phases, or bring it in late with a small weight and a ramp; "
            "then compare the two runs with diagnose --run A B."
        ),
        severity="warning",
        epochs=(since, epoch),
        numbers={
            "cosine": groups[group],
            "groups": len(groups),
            f"norm_{one}": norm[one],
            f"norm_{other}": norm[other],
        },
    )


def _opposed(look: GradientLook) -> dict[str, dict[str, float]]:
    """Pair of terms -> group of layers -> cosine, where they oppose in enough groups."""
    found: dict[str, dict[str, float]] = {}
    for group, pairs in look.cosines.items():
        norm = look.norms.get(group, {})
        for pair, cosine in pairs.items():
            one, other = (norm.get(term, 0.0) for term in pair.split("|"))
            if cosine < OPPOSED and _share(one, other) > LEAST_SHARE:
                found.setdefault(pair, {})[group] = cosine
    return {pair: groups for pair, groups in found.items() if len(groups) >= GROUPS}


def _share(one: float, other: float) -> float:
    return min(one, other) / max(one, other, 1e-30)

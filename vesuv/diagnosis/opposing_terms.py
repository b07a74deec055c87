"""Loss terms that pull the weights in opposite directions."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.finding import Finding
from vesuv.diagnosis.observation import Gradients
from vesuv.diagnosis.wording import epochs

OPPOSED = -0.1
"""Cosine below which two gradients oppose each other; terms that go together had 0.4 to 1 in all
groups but the last layer."""
GROUPS = 2
"""Groups of layers in which that must be so: in the last layer alone even Dice and cross-entropy
oppose each other, since they want other levels of probability for the same mask."""
LEAST_SHARE = 0.1
"""Of the larger gradient's norm: a smaller one does not matter, wherever it points."""
LOOKS = 2
"""Looks in a row that must agree."""


def find(evidence: Evidence) -> Finding | None:
    """Find the pair of terms whose weighted gradients oppose each other in most layers."""
    looks = [(line.epoch, line.gradients) for line in evidence.observations if line.gradients]
    recent = looks[-LOOKS:]
    if len(recent) < LOOKS:
        return None
    found = _opposed([look for _, look in recent])
    if not found:
        return None
    pair, groups = max(found.items(), key=lambda item: (len(item[1]), -min(item[1].values())))
    one, other = pair.split("|")
    first, last = recent[0][0], recent[-1][0]
    listed = ", ".join(f"{g} {c:.2f}" for g, c in sorted(groups.items(), key=lambda item: item[1]))
    group = min(groups, key=lambda name: groups[name])
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
        numbers={
            "cosine": groups[group],
            "groups": len(groups),
            f"norm_{one}": norm[one],
            f"norm_{other}": norm[other],
        },
    )


def _opposed(looks: list[Gradients]) -> dict[str, dict[str, float]]:
    """Pair of terms -> group of layers -> mean cosine, where they oppose in enough groups."""
    found: dict[str, dict[str, float]] = {}
    for group, pairs in looks[-1].cosines.items():
        for pair in pairs:
            one, other = pair.split("|")
            cosines = [look.cosines.get(group, {}).get(pair, 0.0) for look in looks]
            norms = [look.norms.get(group, {}) for look in looks]
            known = all(one in norm and other in norm for norm in norms)
            shares = [_share(norm[one], norm[other]) for norm in norms] if known else [0.0]
            if max(cosines) < OPPOSED and min(shares) > LEAST_SHARE:
                found.setdefault(pair, {})[group] = sum(cosines) / len(cosines)
    return {pair: groups for pair, groups in found.items() if len(groups) >= GROUPS}


def _share(one: float, other: float) -> float:
    return min(one, other) / max(one, other, 1e-30)

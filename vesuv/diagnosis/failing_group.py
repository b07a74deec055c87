"""One group fails while the mean looks fine."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.finding import Finding
from vesuv.diagnosis.wording import epochs

BEHIND = 0.2
"""Dice by which a group lies below the mean of the others; the best public model of a competition
on scrolls had 0.64 on one scroll and 0.44 on another."""
FINE = 0.5
"""Mean Dice of the other groups from which the mean looks fine."""
VALIDATIONS = 3
"""In each of the last so many."""


def find(evidence: Evidence) -> Finding | None:
    """Find the group that lies furthest behind the mean of the others, at each validation."""
    lines = [line for line in evidence.observations if len(line.groups) > 1][-VALIDATIONS:]
    if len(lines) < VALIDATIONS:
        return None
    behind: dict[str, tuple[float, float, float]] = {}
    for group in set.intersection(*(set(line.groups) for line in lines)):
        gaps, rests = [], []
        for line in lines:
            others = [dice for name, dice in line.groups.items() if name != group]
            rests.append(sum(others) / len(others))
            gaps.append(rests[-1] - line.groups[group])
        if min(gaps) >= BEHIND and min(rests) >= FINE:
            behind[group] = (sum(gaps) / len(gaps), lines[-1].groups[group], rests[-1])
    if not behind:
        return None
    group, (gap, own, rest) = max(behind.items(), key=lambda item: item[1])
    tiles = [tile for tile in lines[-1].tiles if tile.group == group]
    cases = ", ".join(dict.fromkeys(tile.case for tile in tiles))
    pooled = evidence.at("val/dice", lines[-1].epoch)
    first, last = lines[0].epoch, lines[-1].epoch
    return Finding(
        name="failing_group",
        title=f"Group {group} fails while the mean looks fine",
        evidence=(
            f"In {epochs(first, last)} Dice on group {group} is {gap:.2f} below the mean of the "
            f"other groups: {own:.3f} against {rest:.3f} at epoch {last}"
            + (f", while {pooled:.3f} is reported over all" if pooled is not None else "")
            + f". It is judged on {len(tiles)} tiles of {cases}."
        ),
        remedy=(
            f"Look at images and labels of {cases} first; then give the group its share, --set "
            "data.folds.by=stratified, more cases or augmentation of grey values "
            "(augment.gamma.p, augment.contrast.p), and report by group."
        ),
        severity="trouble",
        epochs=(first, last),
        numbers={"dice": own, "others": rest, "behind": gap, "tiles": len(tiles)},
    )

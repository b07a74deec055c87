"""One group fails while the mean looks fine."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, percent
from vesuv.runs.records import Finding, Observation

FAILS = 1 / 3
"""Share of the other groups' skill that a failing group reaches at most; groups that are merely
harder reached half of it on the phantom."""
FINE = 0.3
"""Mean skill of the other groups from which the mean looks fine."""
VALIDATIONS = 3
"""In each of the last so many."""
SETTLES = 2
"""Validations at the start that do not count: groups are not learnt at the same pace."""


def find(evidence: Evidence) -> Finding | None:
    """Find the group with the least skill beside the mean of the others, at each validation.

    Skill is Dice on a scale from 0, which calling everything foreground scores, to 1: a group with
    much foreground has a high Dice for nothing.
    """
    grouped = [line for line in evidence.observations if len(line.groups) > 1]
    lines = grouped[SETTLES:][-VALIDATIONS:]
    if len(lines) < VALIDATIONS:
        return None
    shares = {
        group: max(_share(line, group) for line in lines)
        for group in set.intersection(*(set(line.groups) for line in lines))
    }
    if not shares or min(shares.values()) > FAILS:
        return None
    group = min(shares, key=lambda name: shares[name])
    others = [dice for name, dice in lines[-1].groups.items() if name != group]
    own, rest = lines[-1].groups[group], sum(others) / len(others)
    members = [tile.case for tile in lines[-1].tiles if tile.group == group]
    cases = ", ".join(dict.fromkeys(members)) or "its cases"
    first, last = lines[0].epoch, lines[-1].epoch
    return Finding(
        name="failing_group",
        title=f"Group {group} fails while the mean looks fine",
        evidence=(
            f"In {epochs(first, last)} group {group} reaches {percent(shares[group])} at most of "
            f"what the other groups gain over calling everything foreground: Dice {own:.3f} "
            f"against {rest:.3f} at epoch {last}"
            + _reported(evidence, last)
            + f". It is judged on {len(members)} tiles of {cases}."
        ),
        remedy=(
            f"Look at images and labels of {cases} first; then give the group its share, --set "
            "data.folds.by=stratified, more cases or augmentation of grey values "
            "(augment.gamma.p, augment.contrast.p), and report by group."
        ),
        severity="trouble",
        epochs=(first, last),
        numbers={"dice": own, "others": rest, "share": shares[group], "tiles": len(members)},
    )


def _reported(evidence: Evidence, epoch: int) -> str:
    pooled = evidence.at("val/dice", epoch)
    return "" if pooled is None else f", while {pooled:.3f} is reported over all"


def _share(line: Observation, group: str) -> float:
    """A group's skill as a share of the others' mean; 1 where the others have none to speak of."""
    skills = {name: _skill(line, name) for name in line.groups}
    others = [skill for name, skill in skills.items() if name != group]
    rest = sum(others) / len(others)
    return max(0.0, skills[group]) / rest if rest >= FINE else 1.0


def _skill(line: Observation, group: str) -> float:
    labelled = [tile.labelled for tile in line.tiles if tile.group == group]
    share = sum(labelled) / max(1, len(labelled))
    chance = 2 * share / (1 + share)
    return (line.groups[group] - chance) / max(1e-6, 1 - chance)

"""One group of cases has a low score that the mean over all hides."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, percent
from vesuv.runs.records import Finding, Observation

MAX_SKILL_RATIO = 1 / 3
"""Largest ratio of a failing group's skill to the other groups' mean; groups that are merely harder
reached one half on the phantom."""
MIN_OTHER_SKILL = 0.3
"""Mean skill of the other groups below which no group is compared."""
NUM_VALIDATIONS = 3
"""Number of latest validations in which the ratio must be that low."""
WARMUP = 2
"""First validations, which do not count: groups are learnt at different pace."""


def find(evidence: Evidence) -> Finding | None:
    """Find the group with the lowest skill relative to the mean of the other groups.

    Skill is Dice rescaled so that a prediction of foreground everywhere scores 0: Dice alone is
    high in a group with much foreground.
    """
    observations = [line for line in evidence.observations if len(line.groups) > 1]
    recent = observations[WARMUP:][-NUM_VALIDATIONS:]
    if len(recent) < NUM_VALIDATIONS:
        return None
    ratios = {
        group: max(_skill_ratio(line, group) for line in recent)
        for group in set.intersection(*(set(line.groups) for line in recent))
    }
    if not ratios or min(ratios.values()) > MAX_SKILL_RATIO:
        return None
    group = min(ratios, key=lambda name: ratios[name])
    other_dice = [dice for name, dice in recent[-1].groups.items() if name != group]
    own, mean = recent[-1].groups[group], sum(other_dice) / len(other_dice)
    tile_cases = [tile.case for tile in recent[-1].tiles if tile.group == group]
    cases = ", ".join(dict.fromkeys(tile_cases)) or "its cases"
    first, last = recent[0].epoch, recent[-1].epoch
    return Finding(
        name="failing_group",
        title=f"Group {group} fails while the mean looks fine",
        evidence=(
            f"In {epochs(first, last)} group {group} reaches {percent(ratios[group])} at most of "
            f"what the other groups gain over calling everything foreground: Dice {own:.3f} "
            f"against {mean:.3f} at epoch {last}"
            + _pooled_text(evidence, last)
            + f". It is judged on {len(tile_cases)} tiles of {cases}."
        ),
        remedy=(
            f"Look at images and labels of {cases} first; then give the group its share, --set "
            "data.folds.by=stratified, more cases or augmentation of grey values "
            "(augment.gamma.p, augment.contrast.p), and report by group."
        ),
        severity="trouble",
        epochs=(first, last),
        numbers={"dice": own, "others": mean, "share": ratios[group], "tiles": len(tile_cases)},
    )


def _pooled_text(evidence: Evidence, epoch: int) -> str:
    pooled = evidence.value_at("val/dice", epoch)
    return "" if pooled is None else f", while {pooled:.3f} is reported over all"


def _skill_ratio(line: Observation, group: str) -> float:
    """Ratio of a group's skill to the others' mean; 1 where that mean is below MIN_OTHER_SKILL."""
    skills = {name: _skill(line, name) for name in line.groups}
    others = [skill for name, skill in skills.items() if name != group]
    mean_skill = sum(others) / len(others)
    return max(0.0, skills[group]) / mean_skill if mean_skill >= MIN_OTHER_SKILL else 1.0


def _skill(line: Observation, group: str) -> float:
    labelled = [tile.labelled for tile in line.tiles if tile.group == group]
    share = sum(labelled) / max(1, len(labelled))
    chance = 2 * share / (1 + share)
    return (line.groups[group] - chance) / max(1e-6, 1 - chance)

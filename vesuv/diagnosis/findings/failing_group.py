"""One group of cases has a low score that the mean over all hides."""

from __future__ import annotations

from dataclasses import dataclass

from vesuv.config import Config
from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs, others_text, percent
from vesuv.diagnosis.trend import is_still_improving
from vesuv.runs.observation import GroupScore, Observation
from vesuv.runs.records import Finding

MAX_SKILL_RATIO = 1 / 3
"""Largest ratio of a failing group's skill to the other groups' mean; groups that are merely harder
reached one half on the phantom."""
MIN_OTHER_SKILL = 0.3
"""Mean skill of the other groups below which no group is compared."""
NUM_VALIDATIONS = 3
"""Number of latest validations in which the ratio must be that low."""
WARMUP = 2
"""First validations, which do not count: groups are learnt at different pace."""

_Groups = dict[str, GroupScore]


@dataclass(frozen=True)
class _Failure:
    """The worst group of one class over the latest validations."""

    name: str
    """Class."""
    group: str
    ratio: float
    dice: float
    other_dice: float
    first_epoch: int
    last_epoch: int


def find(evidence: Evidence) -> Finding | None:
    """Find the group with the lowest skill relative to the mean of the other groups.

    Skill is Dice rescaled so that a prediction of foreground everywhere scores 0: Dice alone is
    high in a group with much foreground. A group that is still improving is no finding.
    """
    candidates = [_worst_group(evidence, name) for name in evidence.foreground_classes]
    failures = [failure for failure in candidates if failure is not None]
    if not failures:
        return None
    worst = min(failures, key=lambda failure: failure.ratio)
    group, last = worst.group, worst.last_epoch
    tiles = next(line.tiles for line in evidence.observations if line.epoch == last)
    tile_cases = [tile.case for tile in tiles if tile.group == group]
    cases = ", ".join(dict.fromkeys(tile_cases)) or "its cases"
    several = evidence.has_several_classes
    return Finding(
        name="failing_group",
        title=f"Group {group} fails {f'in class {worst.name!r} ' if several else ''}"
        "while the mean looks fine",
        evidence=(
            f"In {epochs(worst.first_epoch, last)} group {group} reaches {percent(worst.ratio)} at "
            "most of what the other groups gain over calling everything "
            f"{repr(worst.name) if several else 'foreground'}: Dice {worst.dice:.3f} "
            f"against {worst.other_dice:.3f} at epoch {last}"
            + _pooled_text(evidence, worst)
            + f". It is judged on {len(tile_cases)} tiles of {cases}."
            + others_text(len(failures) - 1)
        ),
        remedy=_remedy(evidence.config, cases),
        severity="trouble",
        epochs=(worst.first_epoch, last),
        numbers={
            "dice": worst.dice,
            "others": worst.other_dice,
            "share": worst.ratio,
            "tiles": len(tile_cases),
        },
    )


def _remedy(config: Config, cases: str) -> str:
    settings = "" if config.data.folds.by == "stratified" else "--set data.folds.by=stratified, "
    return (
        f"Look at images and labels of {cases} first; then give the group its share, {settings}"
        "more cases or augmentation of grey values (augment.gamma.p, augment.contrast.p), and "
        "report by group."
    )


def _worst_group(evidence: Evidence, name: str) -> _Failure | None:
    by_epoch = [(line.epoch, _groups(evidence, line, name)) for line in evidence.observations]
    compared = [(epoch, groups) for epoch, groups in by_epoch if len(groups) > 1]
    recent = compared[WARMUP:][-NUM_VALIDATIONS:]
    if len(recent) < NUM_VALIDATIONS:
        return None
    ratios = {
        group: max(_skill_ratio(groups, group) for _, groups in recent)
        for group in set.intersection(*(set(groups) for _, groups in recent))
    }
    if not ratios or min(ratios.values()) > MAX_SKILL_RATIO:
        return None
    group = min(ratios, key=lambda key: ratios[key])
    if is_still_improving(evidence, [groups[group].dice for _, groups in recent]):
        return None
    scores = recent[-1][1]
    others = [score.dice for other, score in scores.items() if other != group]
    return _Failure(
        name,
        group,
        ratios[group],
        scores[group].dice,
        sum(others) / len(others),
        recent[0][0],
        recent[-1][0],
    )


def _groups(evidence: Evidence, line: Observation, name: str) -> _Groups:
    """Score of a class by group; the labelled share of two classes is the mean over tiles."""
    if evidence.has_several_classes:
        return (line.class_groups or {}).get(name, {})
    labelled = {
        group: [tile.labelled for tile in line.tiles if tile.group == group]
        for group in line.groups
    }
    return {
        group: GroupScore(dice=dice, labelled=sum(labelled[group]) / max(1, len(labelled[group])))
        for group, dice in line.groups.items()
    }


def _pooled_text(evidence: Evidence, failure: _Failure) -> str:
    column = evidence.class_column("val/dice", failure.name)
    pooled = evidence.value_at(column, failure.last_epoch)
    return "" if pooled is None else f", while {pooled:.3f} is reported over all"


def _skill_ratio(groups: _Groups, group: str) -> float:
    """Ratio of a group's skill to the others' mean; 1 where that mean is below MIN_OTHER_SKILL."""
    others = [_skill(score) for name, score in groups.items() if name != group]
    mean_skill = sum(others) / len(others)
    return max(0.0, _skill(groups[group])) / mean_skill if mean_skill >= MIN_OTHER_SKILL else 1.0


def _skill(score: GroupScore) -> float:
    chance = 2 * score.labelled / (1 + score.labelled)
    return (score.dice - chance) / max(1e-6, 1 - chance)

"""The file of a study: base configuration, folds, seeds, budget, scores and arms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from vesuv.config.data import PositiveFloat, PositiveInt
from vesuv.config.differences import flatten
from vesuv.config.load import LEAF_KEYS, is_of_curves
from vesuv.config.section import Section
from vesuv.config.sentences import fault_sentences
from vesuv.config.shipped import config_path, study_path
from vesuv.config.text import parse_yaml, read_text
from vesuv.errors import InputError, InputErrors
from vesuv.evaluation.measures import parse_measures

_REPLACED = [".".join(key) for key in LEAF_KEYS]
"""Mappings that an arm replaces as a whole, as a file does."""
_STUDY_KEYS = "study."
_STUDY_SETS = (
    "name",
    "train.epochs",
    "train.steps_per_epoch",
    "runtime.seed",
    "runtime.max_minutes",
)
"""Keys that the study sets."""
_SAME_DATA = ("data.root", "data.store", "data.layout", "data.parts", "data.folds", "logs")
"""Keys that must be equal in all arms, so that their folds are."""


class Budget(Section):
    """Length of every run: minutes of training, or optimiser steps."""

    minutes: PositiveFloat | None = None
    """Minutes of training, without validation: steps are timed before, and the schedule of each
    arm is spread over the steps that take this long."""
    steps: PositiveInt | None = None
    """Optimiser steps."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Budget:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("needs one of minutes and steps; give one")
        return self


class ScoreSettings(Section):
    """How each run is scored."""

    measures: tuple[str, ...] = Field(
        default=("dice", "surface_dice@1vox", "voi", "precision", "recall", "fraction"),
        min_length=1,
    )
    """Measures as in `vesuv evaluate --measures`; the first one is compared first."""
    checkpoint: Literal["auto", "best", "last", "ema", "swa"] = "auto"
    """Weights that are scored. auto: ema where the arm averages so, else swa, else last; best was
    chosen on tiles of the same cases, so its score is slightly too high."""
    selection: bool = True
    """Estimate the scores after selection of the threshold too, each group or case left out."""

    @field_validator("measures")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return parse_measures(value, argument="measures")
        except InputError as fault:
            raise ValueError(str(fault).removeprefix("measures: ")) from None


class HeldOutFolders(Section):
    """Further cases, which the user keeps out of the training data."""

    images: str
    """Folder of volumes, from the current folder as data.root."""
    labels: str
    """Folder of their labels, matched by name."""


class StudySettings(Section):
    """What all arms have in common."""

    base: str
    """Configuration file, from the folder of the study file, or the name of a shipped one."""
    folds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    """Folds that every arm trains."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Values of runtime.seed that every arm trains with."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Differences of all arms to the base, as an arm has them; --set comes behind."""
    budget: Budget
    """Length of every run."""
    score: ScoreSettings = ScoreSettings()
    """Scores of the validation cases."""
    held_out: HeldOutFolders | None = None
    """Further cases to score; null: none."""

    @field_validator("folds", "seeds")
    @classmethod
    def _no_repetition(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"names each number once, found {list(value)}")
        return value


class _StudyFile(Section):
    study: StudySettings
    arms: dict[str, dict[str, Any]] = Field(min_length=1)


@dataclass(frozen=True)
class Arm:
    """One configuration of a study."""

    name: str
    changes: tuple[str, ...]
    """Differences to the base, each `section.key=value`."""

    @property
    def folder(self) -> str:
        """Name of the folder of its runs."""
        return self.name.replace(" ", "_")


@dataclass(frozen=True)
class Study:
    """A study file with the changes of the command line."""

    path: Path
    settings: StudySettings
    arms: tuple[Arm, ...]
    changes: tuple[str, ...] = field(default=())
    """Changes of the base for all arms, those of study.set in front."""
    notes: tuple[str, ...] = field(default=())
    """Further sentences for study.md and the page."""

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def num_runs(self) -> int:
        """Number of runs of all arms."""
        return len(self.settings.folds) * len(self.settings.seeds) * len(self.arms)

    @property
    def base(self) -> Path:
        """The base configuration."""
        return config_path(self.settings.base, self.path.parent)

    @cached_property
    def is_of_curves(self) -> bool:
        """Whether the arms are detectors of curves, else networks of segmentation."""
        return is_of_curves(self.base)


def read_study(path: Path, changes: Sequence[str] = (), arms: Sequence[str] | None = None) -> Study:
    """Read a study file.

    Args:
        path: YAML file, or the name of a shipped study.
        changes: `section.key=value` of the base, or of the study, as in study.budget.minutes=1.
        arms: Names of the arms to keep; the first one is what the others are compared with.

    Raises:
        InputError: The file or a change is wrong, one sentence for each fault.
    """
    path = study_path(path)
    tree = parse_yaml(read_text(path), str(path))
    if not isinstance(tree, dict):
        raise InputError(f"{path}: a study is a mapping of study and arms, found {tree!r:.60}")
    own_changes = [change for change in changes if change.startswith(_STUDY_KEYS)]
    for change in own_changes:
        _apply_change(tree, change)
    try:
        content = _StudyFile.model_validate(tree)
    except ValidationError as fault:
        raise InputErrors(fault_sentences(fault, _StudyFile, str(path), {})) from None
    all_arms = tuple(_arm(path, name, differences) for name, differences in content.arms.items())
    _check_folders(path, all_arms)
    base_changes = [change for change in changes if change not in own_changes]
    for change in base_changes:
        _check_free(f"--set {change}", change.partition("=")[0], in_arm=False)
    of_file = _changes(f"{path}: study.set", content.study.set, in_arm=False)
    chosen = _chosen_arms(path, all_arms, arms)
    return Study(path, content.study, chosen, (*of_file, *base_changes))


def _apply_change(tree: dict[str, Any], change: str) -> None:
    """Set one value below `study`."""
    dotted, equals, text = change.partition("=")
    *sections, last = dotted.split(".")
    node: Any = tree
    for key in sections:
        node = node.setdefault(key, {}) if isinstance(node, dict) else None
    if not equals or not last or not isinstance(node, dict):
        raise InputError(f"--set {change}: write study.key=value, as in study.budget.minutes=1")
    value = parse_yaml(text, f"--set {change}")
    if dotted in ("study.budget.minutes", "study.budget.steps"):
        node.clear()
    node[last] = value


def _arm(path: Path, name: str, differences: Mapping[str, Any]) -> Arm:
    place = f"{path}: arms.{name}"
    if not name.isprintable() or name.strip(". ") != name or not name or set("/\\") & set(name):
        raise InputError(
            f"{path}: arms: a name is one folder, without / and a dot at its ends, found "
            f"{name!r:.60}; rename it"
        )
    return Arm(name, _changes(place, differences))


def _changes(place: str, differences: Mapping[str, Any], *, in_arm: bool = True) -> tuple[str, ...]:
    """Return differences as `section.key=value` each."""
    changes = []
    for key, value in flatten(differences, leaves=_REPLACED).items():
        _check_free(place, key, in_arm=in_arm)
        changes.append(f"{key}={json.dumps(value, ensure_ascii=False)}")
    return tuple(changes)


def is_shared(key: str, *, in_arm: bool = True) -> bool:
    """Return whether a key is the same in all arms.

    Args:
        key: Dotted key of the configuration.
        in_arm: False asks for the keys that the base must leave to the study too.
    """
    fixed_keys = _STUDY_SETS + (_SAME_DATA if in_arm else ())
    return any(key == fixed or key.startswith(f"{fixed}.") for fixed in fixed_keys)


def _check_free(place: str, key: str, *, in_arm: bool = True) -> None:
    """Refuse a key that the study sets itself, or that must be equal in all arms."""
    if is_shared(key, in_arm=in_arm):
        raise InputError(
            f"{place}: {key} is the same in all arms; leave it out, and set study.budget, "
            "study.seeds, study.folds or the base configuration"
        )


def _check_folders(path: Path, arms: Sequence[Arm]) -> None:
    names: dict[str, str] = {}
    for arm in arms:
        if arm.folder in names:
            raise InputError(
                f"{path}: arms: {names[arm.folder]!r} and {arm.name!r} would share the folder "
                f"{arm.folder}; rename one"
            )
        names[arm.folder] = arm.name


def _chosen_arms(path: Path, arms: Sequence[Arm], names: Sequence[str] | None) -> tuple[Arm, ...]:
    by_name = {arm.name: arm for arm in arms}
    for name in names or ():
        if name not in by_name:
            raise InputError(
                f"--arms: must be of {', '.join(by_name)} in {path}, found {name!r:.60}"
            )
    return tuple(by_name[name] for name in dict.fromkeys(names)) if names else tuple(arms)

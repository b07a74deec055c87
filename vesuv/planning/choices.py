"""Choices of the sections data and labels, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vesuv.io.printable import number_of
from vesuv.planning.label_roles import LabelRoles
from vesuv.planning.recognition import Recognition
from vesuv.planning.survey import DatasetSurvey

_SPREAD = 1.05
"""Ratio of the largest to the smallest spacing from which cases are resampled."""
_COARSE_RATIO = 3.0
"""Ratio of voxel edges from which the longest axis takes the smallest spacing of the cases."""
_AIR = -200.0
"""Intensity below which only CT in Hounsfield units has a part of the voxels of each case."""
_MAX_FOLDS = 5
"""Folds of a data set; of fewer cases, each validates a fold of its own."""


@dataclass(frozen=True)
class Choice:
    """One decision.

    Args:
        topic: What is decided.
        values: Dotted key -> value; empty where the defaults are right.
        reason: Why, with the figures.
        of: Section that the choice belongs to, where it sets no key.
    """

    topic: str
    values: Mapping[str, Any]
    reason: str
    of: str = "model"

    @property
    def section(self) -> str:
        """Section of its keys."""
        return next(iter(self.values), self.of).partition(".")[0]


def data_choices(
    root: str, recognition: Recognition, survey: DatasetSurvey, channel_names: Sequence[str]
) -> tuple[Choice, ...]:
    """Return layout, spacing, normalisation and folds with their reasons."""
    num, read = survey.num_cases, survey.num_read
    surveyed = "" if read == num else f", {read} of them read for this proposal"
    if survey.read_share < 1.0:
        surveyed += f"; {survey.read_share:.0%} of the voxels were read"
    keys = {"data.root": root, **{f"data.{k}": v for k, v in recognition.data.items()}}
    return (
        Choice("layout", keys, f"{recognition.reason}; {number_of(num, 'case')}{surveyed}"),
        *_parts(survey),
        _spacing(survey),
        _normalisation(survey, channel_names),
        _folds(survey),
    )


def label_choices(roles: LabelRoles) -> tuple[Choice, ...]:
    """Return classes and ignored value with their reasons."""
    keys = {f"labels.{key}": value for key, value in roles.labels.items() if key != "ignore"}
    ignore = roles.labels.get("ignore")
    return (
        Choice("labels", keys, roles.reason),
        Choice(
            "ignore",
            {} if ignore is None else {"labels.ignore": ignore},
            roles.ignore_reason,
            of="labels",
        ),
    )


def _parts(survey: DatasetSurvey) -> tuple[Choice, ...]:
    if survey.num_cases > 1:
        return ()
    return (
        Choice(
            "parts",
            {"data.parts": 2},
            "one volume alone: one half trains, the other one judges; scores on another volume "
            "will be lower",
        ),
    )


def _spacing(survey: DatasetSurvey) -> Choice:
    unit = f" {survey.unit}" if survey.unit else ""
    edges = "x".join(f"{edge:.3g}" for edge in survey.spacing)
    if survey.without_spacing:
        reason = (
            f"{survey.without_spacing} states none, others {edges}{unit} (median): not resampled; "
            "to resample, write the spacing into each file"
        )
        return Choice("spacing", {}, reason, of="data")
    ratios = [high / low for low, high in zip(survey.spacing_low, survey.spacing_high, strict=True)]
    if max(ratios) <= _SPREAD:
        return Choice("spacing", {}, f"{edges}{unit} in every case: not resampled", of="data")
    target = list(survey.spacing)
    longest = target.index(max(target))
    goal = "the median"
    if target[longest] > _COARSE_RATIO * min(target):
        target[longest] = survey.spacing_low[longest]
        goal = f"the median, and along {'zyx'[longest]}, where voxels are longest, to the smallest"
    low, high = (
        "x".join(f"{edge:.3g}" for edge in edges)
        for edges in (survey.spacing_low, survey.spacing_high)
    )
    return Choice(
        "spacing",
        {"data.spacing": [round(edge, 6) for edge in target]},
        f"from {low} to {high}{unit}: every case is resampled to {goal}",
    )


def _normalisation(survey: DatasetSurvey, channel_names: Sequence[str]) -> Choice:
    low, high = survey.intensity_low, survey.intensity_high
    says_ct = [name.upper() == "CT" for name in channel_names]
    may_be_ct = survey.num_channels == 1 and not says_ct
    is_ct = survey.intensity_low_max < _AIR if may_be_ct else says_ct and all(says_ct)
    if is_ct:
        doubt = "; taken for CT because each case holds values below -200: else take this out"
        return Choice(
            "normalisation",
            {"data.normalize": {"name": "percentile"}},
            f"CT, from {low:.0f} to {high:.0f}: grey values have a physical meaning, so all cases "
            f"are scaled alike{'' if says_ct else doubt}",
        )
    own = f"{survey.dtype} from {low:.4g} to {high:.4g}: each case by its own mean and deviation"
    some_ct = "; some cases hold values below -200, as CT does, others do not"
    reason = own + (some_ct if may_be_ct and low < _AIR else "")
    return Choice("normalisation", {}, reason, of="data")


def _folds(survey: DatasetSurvey) -> Choice:
    cases = max(2, survey.num_cases)  # one volume alone is cut into two parts
    num = min(_MAX_FOLDS, cases)
    values: dict[str, Any] = {"num": num}
    least, most = cases // num, -(-cases // num)
    judges = f"{least} or {number_of(most, 'case')}" if least < most else number_of(most, "case")
    reason = f"{num} folds: {judges} judge{'s' if most == 1 else ''} each"
    if 1 < survey.num_groups < survey.num_cases:
        values["by"] = "stratified"
        reason += f"; each of the {survey.num_groups} groups is in every fold where it can be"
    return Choice("folds", {"data.folds": values}, reason)

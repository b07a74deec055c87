"""Roles of label values: background, classes, and the value that means unlabelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vesuv.errors import InputError
from vesuv.planning.survey import DatasetSurvey

UNLABELLED_SHARE = 0.25
"""Smallest share of the voxels from which a value may be taken for unlabelled."""
_USUAL_MARKS = (255, 65535, -1)
"""Values that usually mark unlabelled voxels."""
_FULL_RANGES = (255, 65535)
"""Values of the foreground in masks that are drawn black and white."""
_KAGGLE_VALUES = {0, 1, 2}
"""Values of the surface competition: background, surface, unlabelled."""
_LEAST_INSTANCES = 4
"""Smallest number of values of one connected piece that may be instances."""
_INSTANCE_SHARE = 0.9
"""Smallest share of such values."""


@dataclass(frozen=True)
class LabelRoles:
    """Proposal for the section `labels`.

    Args:
        labels: The section, as in the YAML file.
        reason: What the classes follow from, with their shares.
        ignore_reason: Why a value is ignored, or why none is; it says how to correct a mistake.
    """

    labels: dict[str, Any]
    reason: str
    ignore_reason: str


def label_roles(
    survey: DatasetSurvey, layout: str, declared: Mapping[str, Any] | None = None
) -> LabelRoles:
    """Propose classes and the ignored value.

    Args:
        survey: Counts of the values.
        layout: Layout of the raw data.
        declared: The section `labels` that the data set states itself; None: it states none.

    Raises:
        InputError: Fewer than two values remain as classes.
    """
    if declared is not None:
        reason = f"by dataset.json; {_shares(survey)}"
        return LabelRoles(dict(declared), reason, "dataset.json declares the ignored value, if any")
    ignore, ignore_reason = _ignored_value(survey, layout)
    values = [value for value in sorted(survey.values) if value != ignore]
    if len(values) < 2:
        raise InputError(
            f"labels: training needs a background and a foreground, found {_shares(survey)}; add "
            "labels of another class"
        )
    background = 0 if 0 in values else values[0]
    foreground = [value for value in values if value != background]
    classes: dict[str, int | list[int]] = {"background": background}
    if _is_mixed(survey):
        classes["foreground"] = foreground
    elif len(foreground) == 1:
        classes["surface" if layout == "kaggle" else "foreground"] = foreground[0]
    else:
        classes |= {f"class_{value}".replace("-", "minus_"): value for value in foreground}
    labels: dict[str, Any] = {"classes": classes}
    if ignore is not None:
        labels["ignore"] = ignore
    reason = (
        f"{_shares(survey)}; rename the classes as you like{_instance_doubt(survey, foreground)}"
    )
    return LabelRoles(labels, reason, ignore_reason)


def _instance_doubt(survey: DatasetSurvey, foreground: list[int]) -> str:
    """Say that values may number instances; nothing where they do not look so."""
    nums = [survey.values[value].num_pieces for value in foreground]
    measured = [num for num in nums if num is not None]
    single = sum(num == 1 for num in measured)
    if single < max(_LEAST_INSTANCES, _INSTANCE_SHARE * len(measured)):
        return ""
    return (
        f"; {single} of the values are one connected piece each: if they number instances of one "
        "kind, write one value for the kind"
    )


def _ignored_value(survey: DatasetSurvey, layout: str) -> tuple[int | None, str]:
    """The value that is proposed as ignored, and why; None with the reason against."""
    values = sorted(survey.values)
    if len(values) < 3:
        return None, "two values only: every voxel is labelled"
    if _is_mixed(survey):
        return None, (
            f"no label holds both 1 and {values[-1]}: masks of 0 and 1 mixed with masks of 0 and "
            f"{values[-1]}, of one foreground; if {values[-1]} means unlabelled, move it to "
            "labels.ignore"
        )
    remedy = "if it is a class, move it to labels.classes"
    below_zero = values[:1] if values[0] < 0 <= values[1] else []
    for mark in (*below_zero, *_USUAL_MARKS):
        if mark in values:
            return mark, f"value {mark} usually marks unlabelled voxels; {remedy}"
    highest = values[-1]
    one = survey.values[highest]
    if layout == "kaggle" and set(values) == _KAGGLE_VALUES:
        return highest, (
            f"value 2 ({one.share:.1%}) marks unlabelled voxels in this layout; {remedy}"
        )
    if one.share >= UNLABELLED_SHARE and one.case_share == 1 and one.border_share >= one.share:
        return highest, (
            f"value {highest}, the highest, covers {one.share:.0%} of the voxels and "
            f"{one.border_share:.0%} of the volumes' faces, in every volume: it looks like "
            f"unlabelled; {remedy}"
        )
    return None, (
        f"no value looks like unlabelled (255, or the highest where it covers "
        f"{UNLABELLED_SHARE:.0%} of every volume and more of its faces); if one means it, move it "
        "to labels.ignore"
    )


def _is_mixed(survey: DatasetSurvey) -> bool:
    """Whether the foreground is 1 in some labels, and 255 or 65535 in the others."""
    background, *others = sorted(survey.values)
    if background != 0 or len(others) != 2 or others[0] != 1 or others[1] not in _FULL_RANGES:
        return False
    beside = survey.values[1].beside
    return beside is not None and others[1] not in beside


def _shares(survey: DatasetSurvey) -> str:
    return ", ".join(
        f"value {value}: {_percent(one.share)}" for value, one in sorted(survey.values.items())
    )


def _percent(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else f"{share:.3%}"

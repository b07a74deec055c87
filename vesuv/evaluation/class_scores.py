"""Scores of one case: with several classes a column for each beside the mean over them.

A class that neither label nor prediction holds has no score, and counts in no mean. Where no
foreground class is there, the mean is the score of an empty mask against an empty one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from vesuv.config.labels import Targets
from vesuv.errors import InputError
from vesuv.evaluation.classes import Classes
from vesuv.evaluation.measure import IgnoredVoxels, class_column, split_column
from vesuv.evaluation.measures import OVERLAP, find_measure
from vesuv.evaluation.overlap import count_scores, scores
from vesuv.io.tables import mean

Row = dict[str, float]
"""Column -> value."""

CLASS_OVERLAP = (
    "dice",
    "iou",
    "precision",
    "recall",
    "predicted_fraction",
    "labelled_fraction",
)
"""Overlap scores that a class, or region, has of its own."""
_FRACTIONS = ("predicted_fraction", "labelled_fraction")


def overlap_row(confusion: Tensor, targets: Targets) -> Row:
    """Return the overlap scores of a confusion matrix, and of several targets those of each.

    Args:
        confusion: Counts (C, C), row by label.
        targets: The foreground classes, or the regions.
    """
    row = scores(confusion, targets.members).as_dict()
    if targets.has_several:
        for name, indices in zip(targets.names, targets.members, strict=True):
            for column, value in class_overlap(confusion, indices).items():
                row[class_column(column, name)] = value
    return row


def class_overlap(confusion: Tensor, indices: Sequence[int]) -> Row:
    """Return the overlap of one target with itself; of an absent one the fractions, 0, alone.

    Args:
        confusion: Counts (C, C), row by label.
        indices: Class indices of the target.
    """
    counts: list[list[int]] = confusion.tolist()  # many times as fast as sums of small tensors
    both = sum(counts[row][column] for row in indices for column in indices)
    missed = sum(sum(counts[row]) for row in indices) - both
    false = sum(line[column] for line in counts for column in indices) - both
    rest = sum(map(sum, counts)) - both - missed - false
    row = count_scores([[rest, false], [missed, both]]).as_dict()
    absent = both + missed + false == 0
    return {
        column: math.nan if absent and column not in _FRACTIONS else row[column]
        for column in CLASS_OVERLAP
    }


def score_row(
    classes: Classes, measures: Sequence[str], ignored_voxels: IgnoredVoxels = "background"
) -> Row:
    """Return the columns of measures, in their order.

    Args:
        classes: Prediction and label.
        measures: Names as `parse_measures` writes them, of the overlap and others.
        ignored_voxels: What ignored voxels are.

    Raises:
        InputError: As `measure_rows`.
    """
    matrix = classes.confusion()
    others = [name for name in measures if name not in OVERLAP]
    rows = measure_rows(classes, matrix, others, ignored_voxels)
    for column, value in overlap_row(matrix, classes.targets).items():
        rows.setdefault(split_column(column)[0], {})[column] = value
    return {column: value for name in measures for column, value in rows[name].items()}


def measure_rows(
    classes: Classes,
    confusion: Tensor,
    measures: Sequence[str],
    ignored_voxels: IgnoredVoxels,
    unit: str | None = None,
) -> dict[str, Row]:
    """Return measure -> its columns, for measures beside the overlap.

    Args:
        classes: Prediction and label.
        confusion: Their confusion matrix.
        measures: Names as `parse_measures` writes them.
        ignored_voxels: What ignored voxels are.
        unit: Unit of lengths; None: that of the spacing, and columns do not name it.

    Raises:
        InputError: A measure needs an extra that is not installed, or lengths of this case cannot
            be given in the unit.
    """
    foreground, members = classes.targets.names, classes.targets.members
    present = [
        name for name, k in zip(foreground, members, strict=True) if _is_present(confusion, k)
    ]
    rows: dict[str, dict[str, Row]] = {measure: {} for measure in measures}
    for name in present or foreground[:1]:
        indices = members[foreground.index(name)]
        pair = classes.pair(indices, confusion, ignored_voxels, unit)
        for measure in measures:
            try:
                rows[measure][name] = find_measure(measure).row(pair, unit)
            except InputError as fault:
                raise InputError(f"{measure}: {fault}") from None
    if len(foreground) == 1:
        return {measure: by_class[foreground[0]] for measure, by_class in rows.items()}
    return {
        measure: _with_mean(by_class, foreground, present) for measure, by_class in rows.items()
    }


def _with_mean(by_class: dict[str, Row], foreground: Sequence[str], present: Sequence[str]) -> Row:
    """Return the mean of each column over the classes, and the column of each class."""
    columns = list(next(iter(by_class.values())))
    row = {column: mean([one[column] for one in by_class.values()]) for column in columns}
    for name in foreground:
        for column in columns:
            value = by_class[name][column] if name in present else math.nan
            row[class_column(column, name)] = value
    return row


def _is_present(confusion: Tensor, indices: Sequence[int]) -> bool:
    """Whether a judged voxel is labelled or predicted as one of some classes."""
    return any(int(confusion[k].sum() + confusion[:, k].sum()) > 0 for k in indices)

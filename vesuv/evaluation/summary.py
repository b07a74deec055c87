"""Scores of many cases together: means, groups, and one folder against another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vesuv.config.labels import TWO_CLASSES, Targets
from vesuv.evaluation.bootstrap import bootstrap_interval
from vesuv.evaluation.class_scores import class_overlap, overlap_row
from vesuv.evaluation.comparison import Comparison, compare_pairs
from vesuv.evaluation.measure import class_column
from vesuv.evaluation.measures import find_column
from vesuv.evaluation.overlap import scores
from vesuv.io.tables import Cell, mean

Scores = Mapping[str, float]
"""Column -> value of one case."""


@dataclass(frozen=True)
class CaseScores:
    """One prediction against its label."""

    id: str
    group: str | None
    folder: str
    """Name of the folder of predictions."""
    confusion: Tensor
    measures: Scores
    """The measures beside the overlap."""
    targets: Targets = TWO_CLASSES
    """What is judged: the foreground classes, or the regions."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the foreground classes or regions where there are several."""
        return self.targets.names if self.targets.has_several else ()

    @cached_property
    def scores(self) -> Scores:
        """Overlap and measures, column by column."""
        return {**overlap_row(self.confusion, self.targets), **self.measures}

    @cached_property
    def mean_scores(self) -> Scores:
        """The columns that are of no single class."""
        of_classes = {
            class_column(column, name) for name in self.class_names for column in self.scores
        }
        return {name: value for name, value in self.scores.items() if name not in of_classes}

    def class_scores(self, class_name: str) -> Scores:
        """The columns of one class of several, without its name."""
        columns = {column: class_column(column, class_name) for column in self.mean_scores}
        return {
            column: self.scores[name] for column, name in columns.items() if name in self.scores
        }

    def row(self) -> dict[str, Cell]:
        """Return the case's line of scores.csv."""
        judged = {"judged_voxels": int(self.confusion.sum())}
        return {"id": self.id, "group": self.group, **self.scores, **judged}


class JudgedComparison(NamedTuple):
    """A comparison of one column, and what its interval says."""

    comparison: Comparison
    verdict: Literal["better", "worse", ""]
    """Of the second folder; empty where the interval holds 0."""


Comparisons = Mapping[str, Mapping[str, JudgedComparison]]
"""Folder -> column -> its comparison with the first folder."""


def worst_first(cases: Sequence[CaseScores]) -> list[CaseScores]:
    """Sort by leaderboard score where there is one, else by Dice; unjudged cases last."""

    def order(case: CaseScores) -> tuple[float, str, str]:
        score = case.scores["leaderboard" if "leaderboard" in case.scores else "dice"]
        return float(np.nan_to_num(score, nan=2.0)), case.id, case.folder

    return sorted(cases, key=order)


def summarise(cases: Sequence[CaseScores]) -> dict[str, Any]:
    """Return the means of one folder of predictions: over all and by group, each also by class."""
    groups = sorted({case.group for case in cases if case.group is not None})
    return {
        **_means(cases),
        "groups": {
            group: _means([case for case in cases if case.group == group]) for group in groups
        },
    }


def compare(
    first: Sequence[CaseScores], second: Sequence[CaseScores]
) -> dict[str, JudgedComparison]:
    """Compare two folders over the cases of both, score by score.

    Returns:
        A comparison for each column that is a score.
    """
    by_id = {case.id: case.scores for case in second}
    pairs = [(case.scores, by_id[case.id]) for case in first if case.id in by_id]
    comparisons = {}
    for column in first[0].scores:
        if find_column(column).better is not None:
            values = [[pair[side][column] for pair in pairs] for side in (0, 1)]
            comparison = compare_pairs(*values)
            comparisons[column] = JudgedComparison(comparison, _verdict(column, comparison))
    return comparisons


def comparison_rows(first: str, comparisons: Comparisons) -> list[dict[str, Any]]:
    """Return a line for each folder and column, for comparison.csv and summary.json."""
    rows = []
    for folder, columns in comparisons.items():
        for column, (comparison, verdict) in columns.items():
            values = asdict(comparison)
            low, high = values.pop("interval")
            ends = {"low": low, "high": high, "verdict": verdict, "note": comparison.note}
            rows.append(
                {"predictions": folder, "against": first, "measure": column, **values, **ends}
            )
    return rows


def _means(cases: Sequence[CaseScores]) -> dict[str, Any]:
    """Mean over cases, its interval, and the overlap of all their voxels together, by class."""
    pooled = torch.stack([case.confusion for case in cases]).sum(dim=0)
    targets = cases[0].targets
    by_class = {
        name: {
            **_columns([case.class_scores(name) for case in cases]),
            "pooled": class_overlap(pooled, targets.members[index]),
        }
        for index, name in enumerate(cases[0].class_names)
    }
    return {
        **_columns([case.mean_scores for case in cases]),
        "pooled": scores(pooled, targets.members).as_dict(),
        "cases": len(cases),
        **({"classes": by_class} if by_class else {}),
    }


def _columns(rows: Sequence[Scores]) -> dict[str, dict[str, Any]]:
    """Mean and interval of each column, and the number of cases that have a value in it."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        "num_values": {
            name: sum(not math.isnan(value) for value in values) for name, values in columns.items()
        },
        "mean": {name: mean(values) for name, values in columns.items()},
        "interval": {name: bootstrap_interval(values) for name, values in columns.items()},
    }


def _verdict(column: str, comparison: Comparison) -> Literal["better", "worse", ""]:
    """Name the direction of a difference whose interval leaves out zero."""
    low, high = comparison.interval
    if not (low > 0 or high < 0):
        return ""
    return "better" if (low > 0) == (find_column(column).better == "higher") else "worse"

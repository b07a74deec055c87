"""What the scores of many cases say together: means, groups, and one folder against another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vesuv.config.data import LabelsConfig
from vesuv.evaluation.bootstrap import bootstrap_interval
from vesuv.evaluation.comparison import Comparison, compare_pairs
from vesuv.evaluation.measures import Row, better
from vesuv.evaluation.overlap import one_against_rest, scores
from vesuv.io.tables import Cell, mean


@dataclass(frozen=True)
class CaseScores:
    """One prediction against its label."""

    id: str
    group: str | None
    predictions: str
    """Name of the folder it is from."""
    matrix: Tensor
    values: Row
    """The measures beside the overlap."""

    @cached_property
    def scores(self) -> Row:
        """Overlap and measures, column by column."""
        return {**scores(self.matrix).as_dict(), **self.values}

    def row(self) -> dict[str, Cell]:
        """Return the case's line of scores.csv."""
        judged = {"judged_voxels": int(self.matrix.sum())}
        return {"id": self.id, "group": self.group, **self.scores, **judged}


def worst_first(found: Sequence[CaseScores]) -> list[CaseScores]:
    """Sort by leaderboard score where there is one, else by Dice; unjudged cases last."""

    def place(case: CaseScores) -> tuple[float, str, str]:
        score = case.scores["leaderboard" if "leaderboard" in case.scores else "dice"]
        return float(np.nan_to_num(score, nan=2.0)), case.id, case.predictions

    return sorted(found, key=place)


def summarise(found: Sequence[CaseScores], schema: LabelsConfig) -> dict[str, Any]:
    """Return the means of one folder of predictions: over all, by group, and by class."""
    names = sorted({case.group for case in found if case.group is not None})
    by_group = {name: [case for case in found if case.group == name] for name in names}
    summary: dict[str, Any] = {
        **_means([case.scores for case in found], [case.matrix for case in found]),
        "groups": {
            name: _means([case.scores for case in cases], [case.matrix for case in cases])
            for name, cases in by_group.items()
        },
    }
    if schema.num_classes > 2:
        summary["classes"] = {
            name: _class_means(found, partial(one_against_rest, index=index))
            for index, name in enumerate(schema.names[1:], start=1)
        }
    return summary


def _class_means(
    found: Sequence[CaseScores], one_class: Callable[[Tensor], Tensor]
) -> dict[str, Any]:
    matrices = [one_class(case.matrix) for case in found]
    return _means([scores(matrix).as_dict() for matrix in matrices], matrices)


def _means(rows: Sequence[Row], matrices: Sequence[Tensor]) -> dict[str, Any]:
    """Mean over cases, its interval, and the overlap of all their voxels together."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        "mean": {name: mean(values) for name, values in columns.items()},
        "interval": {name: bootstrap_interval(values) for name, values in columns.items()},
        "pooled": scores(torch.stack(list(matrices)).sum(dim=0)).as_dict(),
        "cases": len(rows),
    }


def compare(
    first: Sequence[CaseScores], second: Sequence[CaseScores]
) -> dict[str, tuple[Comparison, str]]:
    """Compare two folders over the cases of both, score by score.

    Returns:
        The comparison by column, and whether its interval says "better", "worse" or nothing.
    """
    by_id = {case.id: case.scores for case in second}
    pairs = [(case.scores, by_id[case.id]) for case in first if case.id in by_id]
    found = {}
    for column in first[0].scores:
        if better(column) is not None:
            parts = [[pair[side][column] for pair in pairs] for side in (0, 1)]
            comparison = compare_pairs(*parts)
            found[column] = comparison, _verdict(column, comparison)
    return found


def comparison_rows(
    first: str, comparisons: Mapping[str, Mapping[str, tuple[Comparison, str]]]
) -> list[dict[str, Any]]:
    """Return a line for each folder and column, for comparison.csv and summary.json."""
    rows = []
    for name, columns in comparisons.items():
        for column, (comparison, verdict) in columns.items():
            plain = asdict(comparison)
            low, high = plain.pop("interval")
            rows.append(
                {
                    "predictions": name,
                    "against": first,
                    "measure": column,
                    **plain,
                    "low": low,
                    "high": high,
                    "verdict": verdict,
                    "note": comparison.note,
                }
            )
    return rows


def _verdict(column: str, comparison: Comparison) -> str:
    """Name the direction of a difference whose interval leaves out zero."""
    low, high = comparison.interval
    if not (low > 0 or high < 0):
        return ""
    return "better" if (low > 0) == (better(column) == "higher") else "worse"

"""Means, tables and comparisons of the runs of `quality.py`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

SURFACE_DICE = "surface_dice@1vox"
MEASURES = (
    "dice",
    SURFACE_DICE,
    "voi",
    "leaderboard",
    "precision",
    "recall",
    "predicted_fraction",
    "labelled_fraction",
)
"""What `vesuv.evaluate` is asked for."""
COLUMNS = {
    "dice": "Dice",
    SURFACE_DICE: "surface Dice at 1 voxel",
    "voi": "VOI (bits)",
    "leaderboard_voi": "VOI score",
    "leaderboard": "leaderboard",
    "precision": "precision",
    "recall": "recall",
    "predicted_fraction": "predicted",
    "labelled_fraction": "labelled",
}
"""Column of the scores -> heading."""
REACHED = ("dice", SURFACE_DICE, "leaderboard")
"""Columns, higher is better, for which the minutes until nnU-Net's score are reported."""
NOTE = (
    "Means over the held-out cubes of all folds, then over seeds; in parentheses the lowest and "
    "highest mean of a seed. VOI is the sum of both entropies in bits (lower is better); the VOI "
    "score is 1 / (1 + 0.3 VOI), as in the leaderboard score (higher is better)."
)

Scores = Mapping[str, float]


@dataclass(frozen=True)
class FinishedRun:
    """One trained network and its scores on the cubes that it was not trained on."""

    tool: str
    minutes: float
    fold: int
    seed: int
    steps: int
    seconds: float
    """Duration of the training."""
    cases: Mapping[str, Mapping[str, Scores]]
    """Views averaged in prediction (none, mirror) -> case -> column -> score."""


@dataclass(frozen=True)
class Row:
    """Mean scores of one tool at one budget."""

    tool: str
    minutes: float
    views: str
    num_runs: int
    steps: float
    training_minutes: float
    means: Mapping[str, float]
    """Column -> mean over seeds."""
    ranges: Mapping[str, tuple[float, float]]
    """Column -> lowest and highest mean of a seed."""


def summarise(runs: Iterable[FinishedRun]) -> list[Row]:
    """Average runs of the same tool, budget and views; sorted by budget."""
    groups: dict[tuple[float, str, str], list[FinishedRun]] = defaultdict(list)
    for run in runs:
        for views in run.cases:
            groups[run.minutes, run.tool, views].append(run)
    rows = []
    for (minutes, tool, views), group in sorted(groups.items()):
        by_seed: dict[int, list[Scores]] = defaultdict(list)
        for run in group:
            by_seed[run.seed] += run.cases[views].values()
        columns = [name for name in COLUMNS if name in next(iter(by_seed.values()))[0]]
        seeds = {
            name: [fmean(scores[name] for scores in cases) for cases in by_seed.values()]
            for name in columns
        }
        rows.append(
            Row(
                tool,
                minutes,
                views,
                len(group),
                fmean(run.steps for run in group),
                fmean(run.seconds for run in group) / 60,
                {name: fmean(values) for name, values in seeds.items()},
                {name: (min(values), max(values)) for name, values in seeds.items()},
            )
        )
    return rows


def minutes_to_reach(scores: Mapping[float, float], target: float) -> float | None:
    """Return after how many minutes a score is reached, higher being better.

    Between the first budget that reaches it and the one before, the score is taken as linear in
    the logarithm of the minutes.

    Args:
        scores: Minutes of a budget -> score of runs of that length.
        target: Score to reach.

    Returns:
        Minutes; the shortest budget where that already reaches it; None where no budget does.
    """
    before: tuple[float, float] | None = None
    for minutes, score in sorted(scores.items()):
        if score >= target:
            if before is None:
                return minutes
            share = (target - before[1]) / (score - before[1])
            return float(before[0] * math.exp(share * math.log(minutes / before[0])))
        before = minutes, score
    return None


def reached(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Compare vesuv's budgets with nnU-Net's scores at its longest, by views and column."""
    found = []
    for views in sorted({row.views for row in rows}):
        own = [row for row in rows if (row.tool, row.views) == ("vesuv", views)]
        peer = [row for row in rows if (row.tool, row.views) == ("nnU-Net", views)]
        if not own or not peer:
            continue
        longest = max(peer, key=lambda row: row.minutes)
        for column in REACHED:
            target = longest.means[column]
            minutes = minutes_to_reach({row.minutes: row.means[column] for row in own}, target)
            found.append(
                {
                    "views": views,
                    "column": column,
                    "score": target,
                    "nnunet_minutes": longest.minutes,
                    "vesuv_minutes": minutes,
                    "is_upper_bound": minutes == min(row.minutes for row in own),
                }
            )
    return found


def markdown(rows: Sequence[Row]) -> str:
    """Return both tables with their note."""
    columns = [name for name in COLUMNS if all(name in row.means for row in rows)]
    heads = ["minutes", "tool", "views", "runs", "steps", "trained for (min)"]
    lines = [_line([*heads, *(COLUMNS[name] for name in columns)])]
    lines.append(_line(["---"] * (len(heads) + len(columns))))
    for row in rows:
        cells = [f"{row.minutes:g}", row.tool, row.views, str(row.num_runs)]
        cells += [f"{row.steps:.0f}", f"{row.training_minutes:.2f}"]
        lines.append(_line([*cells, *(_cell(row, name) for name in columns)]))
    lines += ["", NOTE]
    comparisons = reached(rows)
    if comparisons:
        heads = ["score", "views", "nnU-Net", "reached by vesuv after"]
        lines += ["", _line(heads), _line(["---"] * len(heads))]
    for one in comparisons:
        peer = f"{one['score']:.4f} after {one['nnunet_minutes']:g} min"
        lines.append(_line([COLUMNS[one["column"]], one["views"], peer, _minutes(one)]))
    return "\n".join(lines)


def _minutes(comparison: Mapping[str, Any]) -> str:
    minutes = comparison["vesuv_minutes"]
    if minutes is None:
        return "not reached"
    prefix = "at most " if comparison["is_upper_bound"] else ""
    return f"{prefix}{minutes:.2g} min"


def _cell(row: Row, column: str) -> str:
    low, high = row.ranges[column]
    spread = f" ({low:.4f} to {high:.4f})" if low < high else ""
    return f"{row.means[column]:.4f}{spread}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""The tables that `evaluate` prints and writes to summary.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vesuv.evaluation.bootstrap import LEVEL, NUM_RESAMPLES, SEED
from vesuv.evaluation.comparison import Comparison
from vesuv.evaluation.measures import is_headline
from vesuv.evaluation.report_table import Grid, as_markdown, interval, number
from vesuv.evaluation.summary import CaseScores

_OVERLAP = ("dice", "iou", "precision", "recall", "predicted_fraction", "labelled_fraction")

Summaries = Mapping[str, Mapping[str, Any]]
"""The summary of each folder by its name."""


def cases_grid(found: Sequence[CaseScores], limit: int) -> Grid:
    """List the worst cases; a column tells the folder where there are several."""
    columns = _columns(found[0].scores)
    several = len({case.predictions for case in found}) > 1
    rows = [
        [
            *([case.predictions] if several else []),
            case.id,
            case.group or "",
            *_cells(columns, case.scores),
        ]
        for case in found[:limit]
    ]
    if len(found) > limit:
        rows.append([f"… {len(found) - limit} better", *[""] * (len(rows[0]) - 1)])
    names = [*(["predictions"] if several else []), "case", "group"]
    title = f"{len(found)} cases, worst first" if len(found) > 1 else "1 case"
    return Grid(title, [*names, *columns], rows, num_names=len(names))


def means_grid(summaries: Summaries) -> Grid:
    """List means with their intervals: of groups, and at the foot of all cases."""
    columns = _columns(next(iter(summaries.values()))["mean"])
    several = len(summaries) > 1
    groups = list(dict.fromkeys(g for one in summaries.values() for g in one["groups"]))
    rows: list[list[str]] = []
    footer: list[list[str]] = []
    for name, summary in summaries.items():
        label = [name] if several else []
        footer += _mean_rows(label, "", summary, columns)
        footer.append([*label, "all voxels", "", *_cells(columns, summary["pooled"])])
    for group in groups:
        for name, summary in summaries.items():
            if group in summary["groups"]:
                label = [name] if several else []
                rows += _mean_rows(label, group, summary["groups"][group], columns)
    names = [*(["predictions"] if several else []), "", "group"]
    title = f"Means with {LEVEL:.0%} intervals"
    return Grid(title, [*names, *columns], rows, footer, len(names))


def comparison_grid(
    first: str, comparisons: Mapping[str, Mapping[str, tuple[Comparison, str]]]
) -> Grid:
    """List what each folder has more than the first, headline by headline."""
    rows = []
    for name, columns in comparisons.items():
        for column, (found, verdict) in columns.items():
            if is_headline(column):
                means = [number(column, value) for value in (found.first, found.second)]
                tested = found.note or f"p = {found.p_value:.2g}, n = {found.num_differing}"
                difference = number(column, found.difference)
                ends = interval(column, found.interval)
                rows.append(
                    [
                        name,
                        column,
                        f"{found.num_pairs}",
                        *means,
                        difference,
                        ends,
                        verdict,
                        tested,
                    ]
                )
    header = ["predictions", "measure", "pairs", first, "theirs", "difference", f"{LEVEL:.0%}"]
    return Grid(
        f"Differences from {first}, case by case", [*header, "", "Wilcoxon"], rows, num_names=2
    )


def markdown(grids: Sequence[Grid], facts: Sequence[str], faults: Sequence[str]) -> str:
    """Return summary.md: facts, tables, how to read them, faults."""
    parts = ["# Scores\n", *(f"- {fact}" for fact in facts), "", *map(as_markdown, grids)]
    parts.append(
        "## How to read this\n\n"
        f"Intervals hold the middle {LEVEL:.0%} of the means of {NUM_RESAMPLES:,} draws of the "
        f"cases with replacement (percentile bootstrap, seed {SEED}); there is none for one case. "
        "`–` is no value, and counts in no mean; `∞` is a distance when one side is empty. "
        "Differences are theirs minus the first folder's, over the cases of both; better and "
        "worse mean that the interval leaves out 0. The test is the two-sided Wilcoxon "
        "signed-rank test over the n cases that differ. Cases of one group resemble each other, "
        "which neither interval nor test knows.\n"
    )
    if faults:
        parts += ["## Faults\n", *(f"- {fault}" for fault in faults), ""]
    return "\n".join(parts)


def _mean_rows(
    label: list[str], group: str, means: Mapping[str, Any], columns: Sequence[str]
) -> list[list[str]]:
    rows = [[*label, f"mean of {means['cases']}", group, *_cells(columns, means["mean"])]]
    if means["cases"] > 1:
        for side, word in enumerate(("from", "to")):
            ends = {column: means["interval"][column][side] for column in columns}
            rows.append([*label, f"{LEVEL:.0%} {word}", group, *_cells(columns, ends)])
    return rows


def _columns(row: Mapping[str, float]) -> list[str]:
    others = [name for name in row if is_headline(name) and name not in _OVERLAP]
    return [*_OVERLAP, *others]


def _cells(columns: Sequence[str], row: Mapping[str, float]) -> list[str]:
    return [number(column, row[column]) if column in row else "" for column in columns]

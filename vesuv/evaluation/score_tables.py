"""Tables of scores: cases, means, and differences between folders of predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vesuv.evaluation.bootstrap import LEVEL, NUM_RESAMPLES, SEED, Interval
from vesuv.evaluation.class_scores import CLASS_OVERLAP
from vesuv.evaluation.measure import split_column
from vesuv.evaluation.measures import find_column
from vesuv.evaluation.summary import CaseScores, Comparisons
from vesuv.io.tables import TextTable, markdown_table, markdown_text

_ALL_CLASSES = "mean"
"""What stands for all classes in the column of class names."""

Summaries = Mapping[str, Mapping[str, Any]]
"""Folder -> its summary."""


def cases_table(cases: Sequence[CaseScores], limit: int) -> TextTable:
    """List the first cases; columns name folder and class where there are several."""
    columns = _columns(cases[0].mean_scores)
    several = len({case.folder for case in cases}) > 1
    class_names = cases[0].class_names
    rows = []
    for case in cases[:limit]:
        names = [*([case.folder] if several else []), case.id, case.group or ""]
        mean_name = [_ALL_CLASSES] if class_names else []
        rows.append([*names, *mean_name, *_cells(columns, case.mean_scores)])
        rows += [[*names, n, *_cells(columns, case.class_scores(n))] for n in class_names]
    if len(cases) > limit:
        rows.append([f"… {len(cases) - limit} better", *[""] * (len(rows[0]) - 1)])
    names = [*(["predictions"] if several else []), "case", "group"]
    names += ["class"] if class_names else []
    title = f"{len(cases)} cases, worst first" if len(cases) > 1 else "1 case"
    return _score_table(title, names, columns, rows)


def means_table(summaries: Summaries) -> TextTable:
    """List means with their intervals: of groups, and in the footer of all cases."""
    first = next(iter(summaries.values()))
    columns = _columns(first["mean"])
    several = len(summaries) > 1
    groups = list(dict.fromkeys(g for one in summaries.values() for g in one["groups"]))
    rows: list[list[str]] = []
    footer: list[list[str]] = []
    for folder, summary in summaries.items():
        names = [folder] if several else []
        footer += _mean_rows(names, "", summary, columns)
        for class_name, part in _by_class(summary):
            cells = _cells(columns, part["pooled"])
            footer.append([*names, "all voxels", "", *class_name, *cells])
    for group in groups:
        for folder, summary in summaries.items():
            if group in summary["groups"]:
                names = [folder] if several else []
                rows += _mean_rows(names, group, summary["groups"][group], columns)
    names = [*(["predictions"] if several else []), "", "group"]
    names += ["class"] if "classes" in first else []
    return _score_table(f"Means with {LEVEL:.0%} intervals", names, columns, rows, footer)


def comparison_table(first: str, comparisons: Comparisons) -> TextTable:
    """List the differences of each folder from the first, headline by headline."""
    rows = []
    for folder, columns in comparisons.items():
        for column, (comparison, verdict) in columns.items():
            if not find_column(column).headline:
                continue
            values = (comparison.first, comparison.second, comparison.difference)
            test = f"p = {comparison.p_value:.2g}, n = {comparison.num_differing}"
            rows.append(
                [
                    folder,
                    column,
                    f"{comparison.num_pairs}",
                    *(format_value(column, value) for value in values),
                    format_interval(column, comparison.interval),
                    verdict,
                    comparison.note or test,
                ]
            )
    header = ["predictions", "measure", "pairs", first, "theirs", "difference", f"{LEVEL:.0%}"]
    title = f"Differences from {first}, case by case"
    return TextTable(title, [*header, "", "Wilcoxon"], rows, num_names=2)


def markdown(tables: Sequence[TextTable], facts: Sequence[str], faults: Sequence[str]) -> str:
    """Return summary.md: facts, tables, how to read them, faults."""
    parts = [
        "# Scores\n",
        *(f"- {markdown_text(fact)}" for fact in facts),
        "",
        *map(markdown_table, tables),
    ]
    parts.append(
        "## How to read this\n\n"
        f"Intervals hold the middle {LEVEL:.0%} of the means of {NUM_RESAMPLES:,} draws of the "
        f"cases with replacement (percentile bootstrap, seed {SEED}); there is none for one case. "
        "`–` is no value, and counts in no mean; `∞` is a distance when one side is empty. "
        "`[mm]` is the unit of the lengths in a column: of distances, and of the tolerance of a "
        "surface Dice; `@1vox` is a tolerance in voxels. With several classes each is scored "
        "against all others, and a score without a class is the mean over the classes that label "
        "or prediction holds; the fractions without a class are those of any foreground. "
        "Differences are theirs minus the first folder's, over the cases of both; better and "
        "worse mean that the interval leaves out 0. The test is the two-sided Wilcoxon "
        "signed-rank test over the n cases that differ. Cases of one group resemble each other, "
        "which neither interval nor test takes into account.\n"
    )
    if faults:
        parts += ["## Faults\n", *(f"- {markdown_text(fault)}" for fault in faults), ""]
    return "\n".join(parts)


def format_value(column: str, value: float) -> str:
    """Write a value as its column asks; NaN is a dash."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    style = find_column(column).style
    if style == "share":
        return f"{value:.2%}"
    if style == "count":
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.1f}"


def format_interval(column: str, interval: Interval) -> str:
    """Write an interval; nothing where there is none."""
    if any(map(math.isnan, interval)):
        return ""
    return f"{format_value(column, interval.low)} … {format_value(column, interval.high)}"


def _score_table(
    title: str,
    names: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    footer: Sequence[Sequence[str]] = (),
) -> TextTable:
    short = [_short_name(column) for column in columns]
    return TextTable(title, [*names, *columns], rows, footer, len(names), [*names, *short])


def _short_name(column: str) -> str:
    base, unit = split_column(column)
    return (find_column(column).short_name or base) + unit


def _mean_rows(
    names: list[str], group: str, means: Mapping[str, Any], columns: Sequence[str]
) -> list[list[str]]:
    rows = []
    for class_name, part in _by_class(means):
        labels = [group, *class_name]
        cells = _cells(columns, part["mean"])
        rows.append([*names, f"mean of {part['num_values']['dice']}", *labels, *cells])
        if means["cases"] > 1:
            for side, word in enumerate(("from", "to")):
                ends = {column: both[side] for column, both in part["interval"].items()}
                rows.append([*names, f"{LEVEL:.0%} {word}", *labels, *_cells(columns, ends)])
    return rows


def _by_class(means: Mapping[str, Any]) -> list[tuple[list[str], Mapping[str, Any]]]:
    """Return the means of all classes and of each, with the cell that names the class."""
    if "classes" not in means:
        return [([], means)]
    return [([_ALL_CLASSES], means), *(([name], part) for name, part in means["classes"].items())]


def _columns(row: Mapping[str, float]) -> list[str]:
    others = [name for name in row if find_column(name).headline and name not in CLASS_OVERLAP]
    return [*CLASS_OVERLAP, *others]


def _cells(columns: Sequence[str], row: Mapping[str, float]) -> list[str]:
    return [format_value(column, row[column]) if column in row else "" for column in columns]

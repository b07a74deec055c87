"""Files of a study: study.csv, study.md, curves.png and study.html."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from urllib.parse import quote

from vesuv.io.tables import Cell, TextTable, markdown_table, write_csv, write_text
from vesuv.report.figures import study_curves
from vesuv.report.page import NAME as PAGE
from vesuv.report.study import ArmCurve, StudyPage, write_study_page
from vesuv.studies import detectors
from vesuv.studies.comparison import (
    PairedDifference,
    better,
    columns,
    headline_columns,
    of_arm,
    paired_difference,
    spread,
)
from vesuv.studies.jobs import labels_of_scores
from vesuv.studies.records import Record, finished, run_name
from vesuv.studies.study_file import Study

CURVES = "curves.png"
_DASH = "–"
_COST = ("minutes", "steps", "weights")
_SENTENCES = (
    "Scores are those of whole validation volumes, at the threshold of the configuration, "
    "checkpoint {checkpoints}; a run's score is the mean over its cases.",
    "selected/: the threshold is chosen without each group or case of the fold in turn, and "
    "scored on it; ↓: lower is better.",
)
_JUDGED = "validation tiles"
"""What validation curves are measured on."""
_EACH_RUN = "Each run, mean over its validation cases"
_TOLERANCE = 0.15
"""Largest error of the minutes, as a share, without a sentence."""


def write_tables(study: Study, output: Path, records: Sequence[Record]) -> None:
    """Write the files of a study into its folder."""
    write_csv(output / "study.csv", csv_rows(records))
    write_text(output / "study.md", markdown(study, records))
    page = study_page(study, output, records)
    if page.curves:
        measure = f"{page.measure}, {page.judged}"
        study_curves(output / CURVES, page.curves, measure=measure, title=study.name)
    write_study_page(output, page)


def study_page(study: Study, output: Path, records: Sequence[Record]) -> StudyPage:
    """Return the content of study.html."""
    numbers = {arm.name: number for number, arm in enumerate(study.arms)}
    drawn = [record for record in finished(records) if record.curve]
    return StudyPage(
        name=study.name,
        num_runs=study.num_runs,
        num_finished=len(finished(records)),
        num_failed=len(records) - len(finished(records)),
        sentences=describe(study, records),
        results=arm_tables(study, records),
        runs=runs_table(records, detectors.EACH_RUN if study.is_of_curves else _EACH_RUN),
        run_pages=[_page_of(study, output, record) for record in records],
        arms=TextTable(
            "Differences to the base",
            ["arm", "changes"],
            [[arm.name, ", ".join(arm.changes) or "none"] for arm in study.arms],
            num_names=2,
        ),
        measure=", ".join(dict.fromkeys(record.curve_name for record in drawn)),
        judged=detectors.JUDGED if study.is_of_curves else _JUDGED,
        curves=[ArmCurve(one.arm, numbers[one.arm], one.curve) for one in drawn],
    )


def _page_of(study: Study, output: Path, record: Record) -> str:
    """Return the address of a run's page from the study's folder; empty without one."""
    folders = {arm.name: arm.folder for arm in study.arms}
    page = Path(folders[record.arm]) / run_name(record.fold, record.seed) / PAGE
    return quote(page.as_posix()) if (output / page).is_file() else ""


def runs_table(records: Sequence[Record], title: str) -> TextTable:
    """Return every run with its scores, or with what ended it."""
    names = headline_columns(records)
    rows = [
        [
            one.arm,
            str(one.fold),
            str(one.seed),
            one.message if one.message else one.status,
            *_cost([one] if one.is_finished else []),
            *(_number(one.scores.get(name, math.nan)) for name in names),
        ]
        for one in records
    ]
    header = ["arm", "fold", "seed", "state", *_COST, *map(_heading, names)]
    return TextTable(title, header, rows, num_names=4)


def csv_rows(records: Sequence[Record]) -> list[dict[str, Cell]]:
    """Return one row for each run, with every column."""
    names = columns(records)
    return [
        {
            "arm": one.arm,
            "fold": one.fold,
            "seed": one.seed,
            "status": one.status,
            "minutes": one.minutes,
            "steps": one.steps or None,
            "parameters": one.parameters or None,
            "checkpoint": one.checkpoint,
            **{name: one.scores.get(name) for name in names},
            "message": one.message,
        }
        for one in records
    ]


def markdown(study: Study, records: Sequence[Record]) -> str:
    """Return the tables as Markdown, with what they show."""
    tables = [*arm_tables(study, records), *failures_table(records)]
    text = [f"# {study.name}", "", *(f"{line}  " for line in describe(study, records)), ""]
    return "\n".join([*text, *map(markdown_table, tables)])


def arm_tables(study: Study, records: Sequence[Record]) -> list[TextTable]:
    """Return scores, differences and cost of the arms."""
    arms = [arm.name for arm in study.arms]
    differences = [differences_table(arms, records)] if len(arms) > 1 else []
    return [scores_table(arms, records), *differences, cost_table(arms, records)]


def describe(study: Study, records: Sequence[Record]) -> list[str]:
    """Return what was run and how it was scored, in sentences."""
    settings, budget = study.settings, study.settings.budget
    length = f"{budget.steps} steps" if budget.minutes is None else f"{budget.minutes:g} minutes"
    folds, seeds = (", ".join(map(str, one)) for one in (settings.folds, settings.seeds))
    names = sorted({one.checkpoint for one in records if one.checkpoint})
    changed = f", for all arms with {', '.join(study.changes)}" if study.changes else ""
    lines = [
        f"Base {settings.base}{changed}; folds {folds}; seeds {seeds}; {length} of training a run.",
        f"{sum(one.is_finished for one in records)} of {study.num_runs} runs are finished.",
        *(
            line.format(checkpoints=", ".join(names) or _DASH)
            for line in (detectors.SENTENCES if study.is_of_curves else _SENTENCES)
        ),
        "Differences are paired by fold and seed; intervals are 95 % by Student's t.",
    ]
    if labels_of_scores(study) is not None:
        lines.append(
            "Arms read labels differently: only held_out/ is scored, with the first arm's labels."
        )
    if settings.held_out is not None:
        lines.append(f"held_out/: the further cases of {settings.held_out.labels}.")
    if budget.minutes is not None:
        lines.append(
            "Steps are timed before the first run: each arm trains as many as the minutes hold, "
            "and its schedule ends with them."
        )
        lines += _off_budget(study, records, budget.minutes)
    return [*lines, *study.notes]


def _off_budget(study: Study, records: Sequence[Record], minutes: float) -> list[str]:
    """Return a sentence for each arm whose runs were clearly shorter or longer than the budget."""
    sentences = []
    for arm in study.arms:
        runs = of_arm(records, arm.name)
        mean = fmean(one.minutes for one in runs) if runs else minutes
        if abs(mean / minutes - 1) > _TOLERANCE:
            sentences.append(
                f"{arm.name} trained {mean:.2f} minutes a run, {mean / minutes - 1:+.0%} against "
                "the budget: the speed of the machine was another one when its steps were timed."
            )
    return sentences


def overview_table(arms: Sequence[str], records: Sequence[Record]) -> TextTable:
    """Return the first measure with its difference to the first arm, and the cost of each arm."""
    first = next(iter(headline_columns(records)), "")
    rows = []
    for arm in arms:
        runs, difference = of_arm(records, arm), ""
        scores = spread(runs, first)
        if arm != arms[0]:
            difference = _difference(paired_difference(records, arms[0], arm, first))
        cells = [_with_deviation(scores.mean, scores.runs), difference, *_cost(runs)]
        rows.append([arm, str(len(runs)), *cells])
    header = ["arm", "runs", first, "difference [95 %]", *_COST]
    return TextTable(f"Mean ± deviation over runs; difference to {arms[0]}", header, rows)


def scores_table(arms: Sequence[str], records: Sequence[Record]) -> TextTable:
    """Return the mean of each column, and its standard deviation over the runs."""
    names = headline_columns(records)
    rows = []
    for arm in arms:
        runs = of_arm(records, arm)
        cells = [spread(runs, name) for name in names]
        rows.append([arm, str(len(runs)), *(_with_deviation(one.mean, one.runs) for one in cells)])
    return TextTable(
        "Mean ± standard deviation over runs", ["arm", "runs", *map(_heading, names)], rows
    )


def differences_table(arms: Sequence[str], records: Sequence[Record]) -> TextTable:
    """Return each column's difference to the first arm with its interval."""
    names = headline_columns(records)
    rows = []
    for arm in arms[1:]:
        pairs = [paired_difference(records, arms[0], arm, name) for name in names]
        number = max((one.num_pairs for one in pairs), default=0)
        rows.append([arm, str(number), *map(_difference, pairs)])
    return TextTable(
        f"Difference to {arms[0]} [95 % interval]", ["arm", "pairs", *map(_heading, names)], rows
    )


def cost_table(arms: Sequence[str], records: Sequence[Record]) -> TextTable:
    """Return minutes, steps and parameters, and the spread of the first column."""
    first = next(iter(headline_columns(records)), "")
    rows = []
    for arm in arms:
        runs = of_arm(records, arm)
        scores = spread(runs, first)
        rows.append([arm, *_cost(runs), _number(scores.folds), _number(scores.seeds)])
    header = ["arm", *_COST]
    header += [f"{first}: deviation over folds", f"{first}: over seeds"]
    return TextTable("Cost, and spread of the first measure", header, rows)


def failures_table(records: Sequence[Record]) -> list[TextTable]:
    """Return the runs that failed; no table without one."""
    rows = [
        [one.arm, str(one.fold), str(one.seed), one.message]
        for one in records
        if not one.is_finished
    ]
    header = ["arm", "fold", "seed", "reason"]
    return [TextTable("Failed runs", header, rows, num_names=4)] if rows else []


def _heading(column: str) -> str:
    """Return the name of a column, with an arrow where lower values are better."""
    return f"{column} ↓" if better(column) == "lower" else column


def _cost(runs: Sequence[Record]) -> list[str]:
    """Return mean minutes, mean steps, and parameters."""
    if not runs:
        return [_DASH] * len(_COST)
    minutes, steps = fmean(one.minutes for one in runs), fmean(one.steps for one in runs)
    return [_number(minutes, 2), _number(steps, 0), f"{runs[0].parameters:,}"]


def _difference(difference: PairedDifference) -> str:
    low, high = difference.interval
    if math.isnan(low):
        return _signed(difference.mean)
    return f"{_signed(difference.mean)} [{_signed(low)}, {_signed(high)}]"


def _with_deviation(mean: float, deviation: float) -> str:
    return f"{_number(mean)} ± {_number(deviation)}" if not math.isnan(deviation) else _number(mean)


def _number(value: float, places: int = 4) -> str:
    return _DASH if math.isnan(value) else f"{value:,.{places}f}"


def _signed(value: float) -> str:
    return _DASH if math.isnan(value) else f"{value:+.4f}"

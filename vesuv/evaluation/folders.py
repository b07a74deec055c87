"""Scores of folders of predicted volumes: by case, by group, and one folder against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError, InputErrors
from vesuv.evaluation.matched_folders import (
    MatchedFolder,
    check_output,
    match_folders,
    read_case_groups,
)
from vesuv.evaluation.measure import IgnoredVoxels
from vesuv.evaluation.measures import OVERLAP, find_measure, parse_measures
from vesuv.evaluation.pairs import CaseFiles
from vesuv.evaluation.pictures import PictureSource
from vesuv.evaluation.score_tables import cases_table, comparison_table, markdown, means_table
from vesuv.evaluation.scoring import (
    Outcome,
    Scoring,
    confusion_of,
    first_unit,
    score_cases,
    values_of,
)
from vesuv.evaluation.summary import (
    CaseScores,
    compare,
    comparison_rows,
    summarise,
    worst_first,
)
from vesuv.io.printable import number_of
from vesuv.io.tables import TextTable, write_csv, write_json, write_text
from vesuv.types import Progress, no_progress

_CASES_IN_SUMMARY = 10
"""Cases that summary.md lists."""


@dataclass(frozen=True)
class ScoreOptions:
    """Label values; what is computed beside the overlap, and how."""

    schema: LabelsConfig
    """Label values of predictions and labels."""
    measures: Sequence[str] = ()
    """Names as `vesuv.evaluation.measures.CHOICES` lists them, or all."""
    leaderboard: str = "none"
    """exact, bounds or none."""
    ignored_voxels: str = "background"
    """background or excluded; see `vesuv.evaluation.measure.IgnoredVoxels`."""
    groups: Path | None = None
    """CSV with columns id,scroll_id; the train.csv beside the labels when left out."""
    workers: int | None = None
    """Processes; chosen by the time that the first case takes when left out."""
    overwrite: bool = False
    """Score again what an earlier call scored."""


@dataclass(frozen=True)
class FolderScores:
    """Scores of one folder of predictions, or of several compared with the first."""

    cases: tuple[CaseScores, ...]
    """Worst first."""
    summary: dict[str, Any]
    """Content of summary.json."""
    summaries: dict[str, dict[str, Any]]
    """Folder -> its part of the summary."""
    comparison: tuple[dict[str, Any], ...]
    """Lines of comparison.csv; none for one folder."""
    tables: tuple[TextTable, ...]
    """Means, and for several folders their differences."""
    num_from_record: int
    """Cases whose scores are those of an earlier call."""
    faults: tuple[str, ...]
    """A sentence for each case that could not be scored or drawn."""


def score_folders(
    predictions: Sequence[Path],
    labels: Path,
    output: Path,
    options: ScoreOptions,
    *,
    pictures: PictureSource | None = None,
    progress: Progress = no_progress,
) -> FolderScores:
    """Score every prediction against the label of its name; ignored voxels are not judged.

    A record of each case is written below `output`. A later call takes its scores from there unless
    prediction, label or settings changed.

    Args:
        predictions: Folder of masks, or several to compare with the first of them.
        labels: Folder of labels, in any format; labels without a prediction are not counted.
        output: Folder of records and pictures.
        options: What is computed, and how.
        pictures: Draws pictures/<id>.png for each case where given.
        progress: Called with the numbers of finished and of all cases without a record.

    Returns:
        The scores, and a sentence for each case that could not be scored.

    Raises:
        InputError: Nothing to match, or no case of a folder can be scored.
    """
    images = None if pictures is None else pictures.images
    check_output(output, {"labels": labels, "images": images})
    scoring = _scoring(options)
    groups = read_case_groups(options.groups, labels)
    folders, faults = match_folders(predictions, labels, output, pictures)
    tasks = [task for folder in folders for task in folder.tasks]
    if any(find_measure(name).has_unit for name in scoring.measures):
        scoring = replace(scoring, unit=first_unit(tasks))
    outcomes = score_cases(tasks, scoring, options.workers, progress)
    for outcome in outcomes:
        faults += [fault for fault in outcome.faults if fault not in faults]
    cases = _case_scores(folders, outcomes, scoring, groups)
    if {case.folder for case in cases} != {folder.name for folder in folders}:
        raise InputErrors(faults)
    num_from_record = sum(outcome.is_from_record for outcome in outcomes)
    return _summarise(folders, cases, scoring, faults, num_from_record)


def planned_cases(
    predictions: Sequence[Path],
    labels: Path,
    output: Path,
    options: ScoreOptions,
    pictures: PictureSource | None = None,
) -> list[CaseFiles]:
    """Return the files that `score_folders` would compare, after its checks; nothing is written.

    Raises:
        InputError: As `score_folders`, before any volume is read.
        InputErrors: A prediction has no label.
    """
    images = None if pictures is None else pictures.images
    check_output(output, {"labels": labels, "images": images})
    _scoring(options)
    read_case_groups(options.groups, labels)
    folders, faults = match_folders(predictions, labels, output, pictures)
    if faults:
        raise InputErrors(faults)
    return [task.files for folder in folders for task in folder.tasks]


def write_scores(scores: FolderScores, output: Path) -> list[Path]:
    """Write scores.csv, summary.json and summary.md; with several folders also comparison.csv.

    Returns:
        The files.

    Raises:
        InputError: A file cannot be written.
    """
    several = len(scores.summaries) > 1
    rows = [{"predictions": c.folder, **c.row()} if several else c.row() for c in scores.cases]
    facts = [
        f"{name}: {number_of(part['num_cases'], 'case')}" for name, part in scores.summaries.items()
    ]
    tables = [*scores.tables, cases_table(scores.cases, _CASES_IN_SUMMARY)]
    write_json(output / "summary.json", scores.summary)
    write_csv(output / "scores.csv", rows)
    write_text(output / "summary.md", markdown(tables, facts, scores.faults))
    files = [output / name for name in ("scores.csv", "summary.json", "summary.md")]
    if several:
        write_csv(output / "comparison.csv", scores.comparison)
        files.append(output / "comparison.csv")
    return files


def _scoring(options: ScoreOptions) -> Scoring:
    names = parse_measures(options.measures, options.leaderboard)
    ignored_voxels: IgnoredVoxels
    if options.ignored_voxels == "background":
        ignored_voxels = "background"
    elif options.ignored_voxels == "excluded":
        ignored_voxels = "excluded"
    else:
        raise InputError(
            f"--ignored-voxels: must be background or excluded; found {options.ignored_voxels!r}; "
            "excluded leaves unlabelled voxels out of surface Dice and VOI"
        )
    measures = tuple(name for name in names if name not in OVERLAP)  # which are always computed
    return Scoring(options.schema, measures, ignored_voxels, overwrite=options.overwrite)


def _case_scores(
    folders: Sequence[MatchedFolder],
    outcomes: Sequence[Outcome],
    scoring: Scoring,
    groups: Mapping[str, str | None],
) -> list[CaseScores]:
    """Return the cases that could be scored, worst first."""
    cases = []
    tasks = [(folder.name, task.files.id) for folder in folders for task in folder.tasks]
    for (folder, case), outcome in zip(tasks, outcomes, strict=True):
        record = outcome.record
        if record is not None:
            measures = values_of(record, scoring)
            matrix, targets = confusion_of(record), scoring.schema.targets
            cases.append(CaseScores(case, groups.get(case), folder, matrix, measures, targets))
    return worst_first(cases)


def _summarise(
    folders: Sequence[MatchedFolder],
    cases: Sequence[CaseScores],
    scoring: Scoring,
    faults: Sequence[str],
    num_from_record: int,
) -> FolderScores:
    by_folder = {one.name: [case for case in cases if case.folder == one.name] for one in folders}
    summaries = {
        one.name: {
            "num_cases": len(by_folder[one.name]),
            "num_labels_without_prediction": one.num_left_out,
            **summarise(by_folder[one.name]),
        }
        for one in folders
    }
    first, *others = by_folder
    comparisons = {name: compare(by_folder[first], by_folder[name]) for name in others}
    rows = comparison_rows(first, comparisons)
    return FolderScores(
        cases=tuple(cases),
        summary={
            "labels": scoring.schema.model_dump(mode="json"),
            "measures": scoring.measures,
            "unit": scoring.unit,
            "ignored": scoring.ignored_voxels,
            "faults": list(faults),
            **({"predictions": summaries, "comparisons": rows} if others else summaries[first]),
        },
        summaries=summaries,
        comparison=tuple(rows),
        tables=(
            means_table(summaries),
            *([comparison_table(first, comparisons)] if others else []),
        ),
        num_from_record=num_from_record,
        faults=tuple(faults),
    )

"""Scores of many cases, in parallel processes; a record of each case keeps them for later calls."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vesuv import __version__
from vesuv.config.labels import LabelsConfig
from vesuv.data.fingerprint import stamp
from vesuv.errors import InputError, InputErrors
from vesuv.evaluation.class_scores import measure_rows
from vesuv.evaluation.classes import Classes, read_classes, read_unit
from vesuv.evaluation.measure import IgnoredVoxels
from vesuv.evaluation.measures import find_measure
from vesuv.evaluation.overlap import scores
from vesuv.evaluation.pairs import CaseFiles
from vesuv.evaluation.pictures import Picture
from vesuv.files import read_text
from vesuv.io.tables import write_text
from vesuv.runtime.pool import parallel_map
from vesuv.types import Progress, no_progress

_RECORD_VERSION = 4
"""Raised when a measure gives other values, so that earlier records are not used."""

Record = dict[str, Any]
"""Scores of one case as JSON: confusion matrix, measures, and what they were made from."""


@dataclass(frozen=True)
class Scoring:
    """How cases are scored."""

    schema: LabelsConfig
    measures: tuple[str, ...]
    """As `parse_measures` writes them."""
    ignored_voxels: IgnoredVoxels = "background"
    unit: str | None = None
    """Unit of lengths; None: no measure has one."""
    overwrite: bool = False
    """Score again although there is a record."""

    def record_name(self, measure: str) -> str:
        """Return the name of a measure in a record: the unit is part of it."""
        return f"{measure}[{self.unit}]" if find_measure(measure).has_unit else measure


@dataclass(frozen=True)
class Task:
    """One case to score."""

    files: CaseFiles
    record: Path
    picture: Picture | None = None

    def __str__(self) -> str:
        return f"case {self.files.id} ({self.files.prediction})"


@dataclass(frozen=True)
class Outcome:
    """Scores of a case, or what is wrong with it; a picture that fails leaves the scores."""

    record: Record | None
    faults: tuple[str, ...] = ()
    is_from_record: bool = False
    """Whether the scores are those of an earlier call."""


def first_unit(tasks: Sequence[Task]) -> str | None:
    """Return the unit of the first case that can be read; None where there is none."""
    for task in tasks:
        try:
            return read_unit(task.files.prediction, task.files.label)
        except InputError:
            continue
    return None


def score_cases(
    tasks: Sequence[Task],
    scoring: Scoring,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> list[Outcome]:
    """Score each task, or take its scores from the record of an earlier call.

    Args:
        tasks: One a case.
        scoring: What to compute.
        workers: Processes, as in `parallel_map`.
        progress: Called with the numbers of finished and of all cases that have no record.

    Returns:
        In the order of the tasks.

    Raises:
        InputError: A process was ended from outside.
    """
    outcomes: dict[Task, Outcome] = {}
    for task in tasks:
        record = _read_record(task, scoring)
        if record is not None and _is_complete(record, task, scoring):
            outcomes[task] = Outcome(record, is_from_record=True)
    pending = [task for task in tasks if task not in outcomes]
    results = parallel_map(partial(score_case, scoring), pending, workers=workers)
    for done, (task, outcome) in enumerate(results, start=1):
        outcomes[task] = outcome
        progress(done, len(pending))
    return [outcomes[task] for task in tasks]


def score_case(scoring: Scoring, task: Task) -> Outcome:
    """Score one case, except for measures that its record holds, and write the record."""
    key = _key(task, scoring)  # before the files are read, as they may change meanwhile
    try:
        classes = read_classes(task.files.prediction, task.files.label, scoring.schema)
        record = _complete(_read_record(task, scoring), classes, task, scoring)
    except InputError as fault:
        return Outcome(None, _sentences(fault))
    faults: tuple[str, ...] = ()
    if task.picture is not None:
        try:
            overlap = scores(confusion_of(record), scoring.schema.targets.members)
            task.picture.draw(task.files.id, classes, overlap.dice)
            record["picture"] = _picture_key(task.picture)
        except InputError as fault:
            faults = _sentences(fault)
    record["key"] = key
    write_text(task.record, json.dumps(record) + "\n")
    return Outcome(record, faults)


def confusion_of(record: Record) -> Tensor:
    """Return the confusion matrix of a scored case."""
    return torch.tensor(record["matrix"], dtype=torch.int64)


def values_of(record: Record, scoring: Scoring) -> dict[str, float]:
    """Return the columns of the measures that were asked for."""
    rows = [record["measures"][scoring.record_name(name)] for name in scoring.measures]
    return {column: value for row in rows for column, value in row.items()}


def _complete(record: Record | None, classes: Classes, task: Task, scoring: Scoring) -> Record:
    """Compute what a record lacks."""
    if record is None:
        record = {"matrix": classes.confusion().tolist(), "measures": {}, "picture": None}
    missing = [name for name in scoring.measures if not _is_scored(name, record, scoring)]
    how = (scoring.ignored_voxels, scoring.unit)
    try:
        rows = measure_rows(classes, confusion_of(record), missing, *how)
    except InputError as fault:
        raise InputError(f"{task.files.prediction}: {fault}") from None
    record["measures"] |= {scoring.record_name(name): row for name, row in rows.items()}
    return record


def _is_scored(measure: str, record: Record, scoring: Scoring) -> bool:
    return scoring.record_name(measure) in record["measures"]


def _read_record(task: Task, scoring: Scoring) -> Record | None:
    """Return the record of an earlier call if it was made from these files and settings."""
    if scoring.overwrite:
        return None
    try:
        record = json.loads(read_text(task.record))
    except (OSError, ValueError, RecursionError):
        return None
    is_same = isinstance(record, dict) and record.get("key") == _key(task, scoring)
    return record if is_same else None


def _is_complete(record: Record, task: Task, scoring: Scoring) -> bool:
    if not all(_is_scored(name, record, scoring) for name in scoring.measures):
        return False
    if task.picture is None:
        return True
    return task.picture.path.is_file() and record["picture"] == _picture_key(task.picture)


def _key(task: Task, scoring: Scoring) -> dict[str, Any]:
    """Return what a record depends on, except for the measures, of which it holds any number."""
    files = (task.files.prediction, task.files.label)
    return {
        "version": _RECORD_VERSION,
        "vesuv": __version__,
        "files": [[str(path.resolve()), *stamp(path)] for path in files],
        "labels": scoring.schema.model_dump_json(),  # text, as the order of classes counts
        "ignored": scoring.ignored_voxels,
    }


def _picture_key(picture: Picture) -> list[Any]:
    return [] if picture.image is None else [str(picture.path), *stamp(picture.image)]


def _sentences(fault: InputError) -> tuple[str, ...]:
    return tuple(fault.faults) if isinstance(fault, InputErrors) else (str(fault),)

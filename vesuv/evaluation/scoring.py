"""Scores of many cases: in parallel processes, each kept in a file so that it is made once."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from vesuv import __version__
from vesuv.cli.progress import cases_progress
from vesuv.config.data import LabelsConfig
from vesuv.data.fingerprint import stamp
from vesuv.data.labels import IGNORE
from vesuv.errors import InputError, InputErrors
from vesuv.evaluation.measures import Ignored, Pair, Row, measure
from vesuv.evaluation.overlap import confusion, scores
from vesuv.evaluation.pairs import CaseFiles, Classes, Picture, read_pair
from vesuv.io.tables import VERSION, write_text
from vesuv.runtime.machine import usable_cores

_PAYS = 15.0
"""Seconds of work from which on it pays to start processes, which takes some seconds itself."""
_MOST_WORKERS = 8
"""Processes started unasked: each may hold some volumes' worth of gigabytes."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Scoring:
    """How cases are scored."""

    schema: LabelsConfig
    measures: tuple[str, ...]
    """As `parse_measures` spells them."""
    ignored: Ignored = "background"
    overwrite: bool = False
    """Score again what has been scored."""


@dataclass(frozen=True)
class Task:
    """One case to score."""

    files: CaseFiles
    record: Path
    """Where its scores are kept."""
    picture: Picture | None = None


@dataclass(frozen=True)
class Outcome:
    """A scored case, or what is wrong with it; a picture that fails leaves the scores."""

    record: Record | None
    faults: tuple[str, ...] = ()


def score_cases(
    tasks: Sequence[Task], scoring: Scoring, workers: int | None, console: Console
) -> list[Outcome]:
    """Score each task, or take its scores from the record of an earlier call.

    Args:
        tasks: One a case.
        scoring: What to compute.
        workers: Processes; 1 is this one. When left out, as many as there are cores, at most 8,
            if the time that the first case takes says that it pays.
        console: Shows progress.

    Returns:
        In the order of the tasks.

    Raises:
        InputError: A process was ended from outside.
    """
    outcomes = {task: Outcome(_kept(task, scoring)) for task in tasks if not scoring.overwrite}
    outcomes = {task: one for task, one in outcomes.items() if _is_whole(task, one.record, scoring)}
    pending = [task for task in tasks if task not in outcomes]
    if outcomes:
        console.print(f"{len(outcomes)} of {len(tasks)} cases are scored already", markup=False)
    with cases_progress(console, "Scoring") as tell:
        for done, (task, outcome) in enumerate(_outcomes(pending, scoring, workers), start=1):
            outcomes[task] = outcome
            tell(done, len(pending))
    return [outcomes[task] for task in tasks]


def score_case(task: Task, scoring: Scoring) -> Outcome:
    """Score one case, but for what its record holds already, and keep the record."""
    key = _key(task, scoring)  # before the files are read, as they may change meanwhile
    record = None if scoring.overwrite else _kept(task, scoring)
    try:
        classes = read_pair(task.files, scoring.schema)
        record = _completed(task, classes, record, scoring)
    except InputError as fault:
        return Outcome(None, _sentences(fault))
    faults: tuple[str, ...] = ()
    if task.picture is not None:
        try:
            task.picture.draw(task.files.id, classes, scores(matrix_of(record)).dice)
            record["picture"] = _picture_key(task.picture)
        except InputError as fault:
            faults = _sentences(fault)
    record["key"] = key
    write_text(task.record, json.dumps(record) + "\n")
    return Outcome(record, faults)


def matrix_of(record: Record) -> Tensor:
    """Return the confusion matrix of a scored case."""
    return torch.tensor(record["matrix"], dtype=torch.int64)


def values_of(record: Record, scoring: Scoring) -> Row:
    """Return what was asked for of a scored case's measures, column by column."""
    parts: list[Row] = [record["measures"][name] for name in scoring.measures]
    return {column: value for part in parts for column, value in part.items()}


def _completed(
    task: Task, classes: Classes, record: Record | None, scoring: Scoring
) -> dict[str, Any]:
    valid = classes.label != IGNORE
    if record is None:
        num_classes = scoring.schema.num_classes
        found, label = torch.from_numpy(classes.prediction), torch.from_numpy(classes.label)
        matrix = confusion(found, label, torch.from_numpy(valid), num_classes)
        record = {"matrix": matrix.tolist(), "measures": {}, "picture": None}
    foreground = [(part != 0) & (part != IGNORE) for part in (classes.prediction, classes.label)]
    overlap = scores(matrix_of(record))
    pair = Pair(foreground[0], foreground[1], valid, classes.spacing, overlap)
    for name in scoring.measures:
        if name not in record["measures"]:
            try:
                record["measures"][name] = measure(name, pair, scoring.ignored)
            except InputError as fault:
                raise InputError(f"{task.files.prediction}: {name}: {fault}") from None
    return record


def _kept(task: Task, scoring: Scoring) -> Record | None:
    """Return the record of an earlier call if it was made from these files and settings."""
    try:
        record = json.loads(task.record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    same = isinstance(record, dict) and record.get("key") == _key(task, scoring)
    return record if same else None


def _key(task: Task, scoring: Scoring) -> dict[str, Any]:
    """Return what a record depends on, but for the measures, of which it holds any number."""
    files = (task.files.prediction, task.files.label)
    return {
        "version": VERSION,
        "vesuv": __version__,
        "files": [[str(path.resolve()), *stamp(path)] for path in files],
        "labels": scoring.schema.model_dump(mode="json"),
        "ignored": scoring.ignored,
    }


def _picture_key(picture: Picture) -> list[Any]:
    return [] if picture.image is None else [str(picture.path), *stamp(picture.image)]


def _is_whole(task: Task, record: Record | None, scoring: Scoring) -> bool:
    if record is None or any(name not in record["measures"] for name in scoring.measures):
        return False
    if task.picture is None:
        return True
    return task.picture.path.is_file() and record["picture"] == _picture_key(task.picture)


def _outcomes(
    pending: Sequence[Task], scoring: Scoring, workers: int | None
) -> Iterator[tuple[Task, Outcome]]:
    """Score here while `workers` is open, then here or in processes."""
    rest = list(pending)
    if workers is None and rest:
        start = time.monotonic()
        yield rest[0], _scored_here(rest.pop(0), scoring)
        pays = (time.monotonic() - start) * len(rest) > _PAYS
        workers = min(usable_cores(), _MOST_WORKERS) if pays else 1
    workers = min(workers or 1, len(rest))
    if workers > 1:
        yield from _in_processes(rest, scoring, workers)
        return
    for task in rest:
        yield task, _scored_here(task, scoring)


def _scored_here(task: Task, scoring: Scoring) -> Outcome:
    try:
        return score_case(task, scoring)
    except Exception as error:
        _name_case(error, task)
        raise


def _in_processes(
    pending: Sequence[Task], scoring: Scoring, workers: int
) -> Iterator[tuple[Task, Outcome]]:
    """Keep so many processes busy; spawned, because forks of a process with threads may hang."""
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start_worker)
    waiting = list(reversed(pending))
    running: dict[Future[Outcome], Task] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                task = waiting.pop()
                running[pool.submit(score_case, task, scoring)] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                outcome = _result(future, running[future])
                yield running.pop(future), outcome
    except BrokenProcessPool:
        names = ", ".join(sorted(task.files.id for task in running.values()))
        raise InputError(
            f"--workers: a process was ended from outside while it scored one of {names}, as a "
            "machine short of memory does; take fewer, cases that are done stay done"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _result(future: Future[Outcome], task: Task) -> Outcome:
    try:
        return future.result()
    except Exception as error:
        _name_case(error, task)
        raise


def _name_case(error: Exception, task: Task) -> None:
    error.add_note(f"while scoring case {task.files.id} ({task.files.prediction})")


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    torch.set_num_threads(1)


def _sentences(fault: InputError) -> tuple[str, ...]:
    return tuple(fault.faults) if isinstance(fault, InputErrors) else (str(fault),)

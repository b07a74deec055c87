from __future__ import annotations

import os
import traceback
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from vesuv.config.data import LabelsConfig
from vesuv.errors import InputError
from vesuv.evaluation import scoring
from vesuv.evaluation.pairs import CaseFiles
from vesuv.evaluation.scoring import Outcome, Scoring, Task, score_cases, values_of

PLAIN = Scoring(LabelsConfig(classes={"background": 0, "sheet": 1}, ignore=2), ("voi",))
CONSOLE = Console(quiet=True)


def _tasks(folder: Path, *names: str) -> list[Task]:
    tasks = []
    for name in names:
        files = [folder / part / f"{name}.npy" for part in ("predictions", "labels")]
        for seed, path in enumerate(files):
            path.parent.mkdir(exist_ok=True)
            np.save(path, np.random.default_rng(seed).integers(2, size=(6, 6, 6), dtype=np.uint8))
        tasks.append(Task(CaseFiles(name, *files), folder / "kept" / f"{name}.json"))
    return tasks


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the cases that are really scored, as they come."""
    seen: list[str] = []
    real = scoring.score_case

    def counting(task: Task, how: Scoring) -> Outcome:
        seen.append(task.files.id)
        return real(task, how)

    monkeypatch.setattr(scoring, "score_case", counting)
    return seen


def test_what_was_scored_is_not_scored_again(tmp_path: Path, scored: list[str]) -> None:
    tasks = _tasks(tmp_path, "a", "b")

    first = score_cases(tasks, PLAIN, 1, CONSOLE)
    again = score_cases(tasks, PLAIN, 1, CONSOLE)

    assert scored == ["a", "b"]
    assert [one.record for one in again] == [one.record for one in first]


def test_a_changed_file_is_scored_again(tmp_path: Path, scored: list[str]) -> None:
    tasks = _tasks(tmp_path, "a", "b")
    first = score_cases(tasks, PLAIN, 1, CONSOLE)

    # of the same size, so that only its time tells
    np.save(tasks[1].files.prediction, np.ones((6, 6, 6), dtype=np.uint8))
    os.utime(tasks[1].files.prediction, ns=(0, 10**18))
    again = score_cases(tasks, PLAIN, 1, CONSOLE)

    assert scored == ["a", "b", "b"]
    assert again[1].record["matrix"][0][0] == 0 != first[1].record["matrix"][0][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"ignored": "excluded"},
        {"schema": LabelsConfig(classes={"background": 0, "fibre": 1}, ignore=2)},
        {"overwrite": True},
    ],
)
def test_other_settings_score_again(
    tmp_path: Path, scored: list[str], changes: dict[str, Any]
) -> None:
    tasks = _tasks(tmp_path, "a")
    score_cases(tasks, PLAIN, 1, CONSOLE)

    score_cases(tasks, replace(PLAIN, **changes), 1, CONSOLE)

    assert scored == ["a", "a"]


def test_another_measure_is_added_to_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = _tasks(tmp_path, "a")
    score_cases(tasks, PLAIN, 1, CONSOLE)
    asked: list[str] = []
    real = scoring.measure
    monkeypatch.setattr(scoring, "measure", lambda *a: asked.append(a[0]) or real(*a))
    both = replace(PLAIN, measures=("assd", "voi"))

    (outcome,) = score_cases(tasks, both, 1, CONSOLE)

    assert asked == ["assd"]
    assert list(values_of(outcome.record, both)) == ["assd", "voi", "voi_split", "voi_merge"]


def test_a_damaged_record_is_made_again(tmp_path: Path, scored: list[str]) -> None:
    (task,) = _tasks(tmp_path, "a")
    score_cases([task], PLAIN, 1, CONSOLE)
    task.record.write_text("{")

    score_cases([task], PLAIN, 1, CONSOLE)

    assert scored == ["a", "a"]


def test_a_process_says_the_same_and_names_the_case_that_breaks(tmp_path: Path) -> None:
    tasks = _tasks(tmp_path, "good", "bad", "broken")
    np.save(tasks[1].files.prediction, np.full((6, 6, 6), 3, dtype=np.uint8))
    tasks[2] = replace(tasks[2], picture="no picture")
    found = []

    with pytest.raises(AttributeError, match="'str' object has no attribute 'draw'") as caught:
        found.extend(scoring._in_processes(tasks, PLAIN, 1))

    shown = "".join(traceback.format_exception(caught.value))
    assert "while scoring case broken" in shown
    assert "in score_case" in shown  # where it happened, in the other process
    alone = score_cases(tasks[:1], replace(PLAIN, overwrite=True), 1, CONSOLE)
    assert [one.record for _, one in found] == [alone[0].record, None]
    assert "label value 3" in found[1][1].faults[0]


def test_a_fault_of_ours_is_shown_as_itself_with_the_case(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="absent") as caught:
        score_cases(_tasks(tmp_path, "a"), replace(PLAIN, measures=("absent",)), 1, CONSOLE)

    assert "while scoring case a" in "".join(traceback.format_exception(caught.value))


def test_a_measure_that_needs_an_extra_says_so_for_the_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def needs(*_: Any) -> None:
        raise InputError("needs the package 'topolosses'")

    monkeypatch.setattr(scoring, "measure", needs)
    (task,) = _tasks(tmp_path, "a")
    (found,) = score_cases([task], replace(PLAIN, measures=("leaderboard:exact",)), 1, CONSOLE)

    expected = f"{task.files.prediction}: leaderboard:exact: needs the package 'topolosses'"
    assert found == Outcome(None, (expected,))


class _DeadPool:
    """A pool whose processes were killed."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def submit(self, *_: Any) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        future.set_exception(BrokenProcessPool())
        return future

    def shutdown(self, **_: Any) -> None: ...


def test_a_killed_process_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "ProcessPoolExecutor", _DeadPool)

    with pytest.raises(InputError, match=r"ended from outside while it scored one of a, b, "):
        score_cases(_tasks(tmp_path, "a", "b", "c"), PLAIN, 2, CONSOLE)


def test_processes_are_started_where_the_first_case_says_that_it_pays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = _tasks(tmp_path, "a", "b", "c")
    monkeypatch.setattr(scoring, "usable_cores", lambda: 4)
    started: list[tuple[int, int]] = []

    def start(pending: list[Task], how: Scoring, workers: int) -> list[tuple[Task, Outcome]]:
        started.append((len(pending), workers))
        return [(task, Outcome(None)) for task in pending]

    monkeypatch.setattr(scoring, "_in_processes", start)
    score_cases(tasks, replace(PLAIN, overwrite=True), None, CONSOLE)
    assert started == []
    monkeypatch.setattr(scoring, "_PAYS", 0.0)
    score_cases(tasks, replace(PLAIN, overwrite=True), None, CONSOLE)
    assert started == [(2, 2)]

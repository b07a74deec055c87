from __future__ import annotations

import os
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError
from vesuv.evaluation import class_scores, scoring
from vesuv.evaluation.measure import Measure
from vesuv.evaluation.pairs import CaseFiles
from vesuv.evaluation.pictures import Picture, PictureSource
from vesuv.evaluation.scoring import Outcome, Scoring, Task, score_cases, values_of

PLAIN = Scoring(LabelsConfig(classes={"background": 0, "sheet": 1}, ignore=2), ("voi",))


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

    def counting(how: Scoring, task: Task) -> Outcome:
        seen.append(task.files.id)
        return real(how, task)

    monkeypatch.setattr(scoring, "score_case", counting)
    return seen


def test_what_was_scored_is_not_scored_again(tmp_path: Path, scored: list[str]) -> None:
    tasks = _tasks(tmp_path, "a", "b")

    first = score_cases(tasks, PLAIN, 1)
    again = score_cases(tasks, PLAIN, 1)

    assert scored == ["a", "b"]
    assert [one.record for one in again] == [one.record for one in first]


def test_a_changed_file_is_scored_again(tmp_path: Path, scored: list[str]) -> None:
    tasks = _tasks(tmp_path, "a", "b")
    first = score_cases(tasks, PLAIN, 1)

    # of the same size, so that only its time tells
    np.save(tasks[1].files.prediction, np.ones((6, 6, 6), dtype=np.uint8))
    os.utime(tasks[1].files.prediction, ns=(0, 10**18))
    again = score_cases(tasks, PLAIN, 1)

    assert scored == ["a", "b", "b"]
    assert again[1].record["matrix"][0][0] == 0 != first[1].record["matrix"][0][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"ignored_voxels": "excluded"},
        {"schema": LabelsConfig(classes={"background": 0, "fibre": 1}, ignore=2)},
        {"schema": LabelsConfig(classes={"sheet": 1, "background": 0}, ignore=2)},
        {"overwrite": True},
    ],
)
def test_other_settings_score_again(
    tmp_path: Path, scored: list[str], changes: dict[str, Any]
) -> None:
    tasks = _tasks(tmp_path, "a")
    score_cases(tasks, PLAIN, 1)

    score_cases(tasks, replace(PLAIN, **changes), 1)

    assert scored == ["a", "a"]


def test_another_measure_is_added_to_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = _tasks(tmp_path, "a")
    score_cases(tasks, PLAIN, 1)
    asked: list[str] = []
    real = class_scores.find_measure
    monkeypatch.setattr(class_scores, "find_measure", lambda name: asked.append(name) or real(name))
    both = replace(PLAIN, measures=("assd", "voi"), unit="voxel")

    (outcome,) = score_cases(tasks, both, 1)

    assert asked == ["assd"]
    assert list(values_of(outcome.record, both)) == ["assd[voxel]", "voi", "voi_split", "voi_merge"]


def test_a_damaged_record_is_made_again(tmp_path: Path, scored: list[str]) -> None:
    (task,) = _tasks(tmp_path, "a")
    score_cases([task], PLAIN, 1)
    task.record.write_text("{")

    score_cases([task], PLAIN, 1)

    assert scored == ["a", "a"]


def no_picture(*_: object) -> None:
    raise AttributeError("no picture")


@pytest.mark.slow
def test_a_process_says_the_same_and_names_the_case_that_breaks(tmp_path: Path) -> None:
    tasks = _tasks(tmp_path, "good", "bad", "broken")
    np.save(tasks[1].files.prediction, np.full((6, 6, 6), 3, dtype=np.uint8))
    source = PictureSource(tmp_path, no_picture)
    broken = replace(tasks[2], picture=Picture(tasks[2].files.label, tmp_path / "b.png", source))

    alone = score_cases(tasks[:2], replace(PLAIN, overwrite=True), 1)
    together = score_cases(tasks[:2], replace(PLAIN, overwrite=True), 2)
    with pytest.raises(AttributeError, match="no picture") as caught:
        score_cases([*tasks[:2], broken], replace(PLAIN, overwrite=True), 2)

    shown = "".join(traceback.format_exception(caught.value))
    assert "while working on case broken" in shown
    assert "in score_case" in shown  # where it happened, in the other process
    assert together == alone
    assert "label value 3" in together[1].faults[0]


def test_a_fault_of_ours_is_shown_as_itself_with_the_case(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="absent") as caught:
        score_cases(_tasks(tmp_path, "a"), replace(PLAIN, measures=("absent",)), 1)

    assert "while working on case a" in "".join(traceback.format_exception(caught.value))


def test_a_measure_that_needs_an_extra_says_so_for_the_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def needs(*_: Any) -> None:
        raise InputError("needs the package 'topolosses'")

    measure = Measure("leaderboard:exact", (), needs)
    monkeypatch.setattr(class_scores, "find_measure", lambda _: measure)
    (task,) = _tasks(tmp_path, "a")
    (found,) = score_cases([task], replace(PLAIN, measures=("leaderboard:exact",)), 1)

    expected = f"{task.files.prediction}: leaderboard:exact: needs the package 'topolosses'"
    assert found == Outcome(None, (expected,))

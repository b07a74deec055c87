"""vesuv study: options, what it prints, and its exit status."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.studies.conftest import FakeWorker, study_file, study_tree, written
from vesuv.cli import main, study

__all__ = ["study_file", "study_tree"]  # fixtures


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> FakeWorker:
    """What runs the jobs in place of processes."""
    worker = FakeWorker(curve=((0.25, 2, 0.3), (0.5, 4, 0.4)))
    monkeypatch.setattr(study, "ProcessWorker", lambda _set_up: worker)
    return worker


def test_it_trains_and_prints_a_table(
    study_file: Path,
    tmp_path: Path,
    worker: FakeWorker,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    main(["study", str(study_file), "--seeds", "3", "4", "--folds", "1"])

    printed = capsys.readouterr().out
    assert [(job.fold, job.seed) for job in worker.jobs] == [(1, 3), (1, 3), (1, 4), (1, 4)]
    assert "1/4 today, fold 1, seed 3: dice 0.5000, 0.50 minutes, 4 steps" in printed
    assert "page: log/studies/sizes/study.html" in printed
    files = {path.name for path in (tmp_path / "log/studies/sizes").iterdir() if path.is_file()}
    assert files == {"curves.png", "study.csv", "study.html", "study.json", "study.md"}


def test_failed_runs_are_an_error_at_the_end(
    study_file: Path, tmp_path: Path, worker: FakeWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    worker.failing = "more filters, fold 0, seed 0"

    with pytest.raises(SystemExit) as end:
        main(["study", str(study_file), "--output", str(tmp_path / "out")])

    assert end.value.code == 2
    assert len(worker.jobs) == 4
    out, error = capsys.readouterr()
    assert "failed: more filters, fold 0, seed 0: no memory was left" in out
    assert f"error: {tmp_path}/out: 1 of 4 runs failed, study.md names them;" in error


def test_a_dry_run_writes_nothing(
    study_tree: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study_tree["study"]["budget"] = {"minutes": 1.5}
    file = written(study_tree, tmp_path)

    main(["study", str(file), "--output", str(tmp_path / "out"), "--dry-run"])

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "would train: 4 runs of 1.5 minutes",
        "today: the base",
        "more filters: model.filters=6",
        f"would write: {tmp_path}/out",
    ]
    assert not (tmp_path / "out").exists()


def test_folds_are_whole_numbers(study_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["study", str(study_file), "--folds", "all"])

    assert end.value.code == 2
    assert "error: --folds: must be whole numbers from 0, found 'all'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--engine", "ray", "--set", "study.budget.minutes=1"], "--engine ray: .*budget.steps=N"),
        (["--workers", "2"], "--workers: .*found 2 with --engine local"),
        (["--engine", "ray", "--workers", "0"], "--workers: .*found 0"),
    ],
)
def test_runs_side_by_side_need_steps_and_a_cluster(
    study_file: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["study", str(study_file), *words])

    assert end.value.code == 2
    assert re.search(message, capsys.readouterr().err.replace("\n", " "))

"""Runs in processes of their own, on the tiny data."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.studies.conftest import written
from vesuv.cli.study import use_threads
from vesuv.config import Config
from vesuv.errors import Interrupted
from vesuv.evaluation import evaluate
from vesuv.inference.load import load
from vesuv.io.formats import read
from vesuv.runs.folder import RunFolder
from vesuv.studies import processes
from vesuv.studies.jobs import arm_configs, jobs_in_turn, prepare_data
from vesuv.studies.processes import JobFailed, ProcessWorker
from vesuv.studies.records import Job, read_record
from vesuv.studies.study_file import read_study


def first_job(tree: dict[str, Any], folder: Path) -> Job:
    study = read_study(written(tree, folder))
    configs = arm_configs(study)
    prepare_data(study, configs)
    return jobs_in_turn(study, folder / "out", configs, dict.fromkeys(configs, 4))[0]


def be_interrupted(_config: Config) -> None:
    raise Interrupted("SIGTERM")


@pytest.mark.slow
def test_a_run_is_trained_and_scored_as_evaluate_scores_it(
    study_tree: dict[str, Any], tiny_data: Path, tmp_path: Path
) -> None:
    study_tree["study"] |= {
        "score": {"measures": ["dice", "voi"]},
        "held_out": {
            "images": str(tiny_data / "train_images"),
            "labels": str(tiny_data / "train_labels"),
        },
    }
    job = first_job(study_tree, tmp_path)

    record = ProcessWorker(use_threads).train(job)

    assert record.is_finished, record.message
    assert (record.steps, len(record.curve)) == (4, 4)
    assert record == read_record(job.record_file)
    cases = RunFolder(job.run).facts.validation_cases
    model = load(job.run, checkpoint="last")
    dice = []
    for case in cases:
        image, label = (
            read(tiny_data / f"train_{part}/{case}.tif").array for part in ("images", "labels")
        )
        probs = model.predict(image)
        scores = evaluate((probs[0] >= 0.5).astype("uint8"), label, ["dice", "voi"], ignore=2)
        assert record.cases[f"held_out/{case}"]["dice"] == pytest.approx(scores["dice"], abs=0.01)
        dice.append(scores["dice"])
    assert record.scores["dice"] == pytest.approx(math.fsum(dice) / len(dice), abs=0.01)
    assert 0 <= record.scores["selected/dice"] <= 1


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (7, "its process ended with status 7"),
        (-9, "its process was ended by SIGKILL, perhaps because the memory was used up"),
        (-11, "its process was ended by SIGSEGV"),
    ],
)
def test_a_process_that_ends_without_a_result_has_failed(
    study_tree: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    message: str,
) -> None:
    monkeypatch.setattr(processes, "_run", lambda *_arguments: status)
    worker, job = ProcessWorker(use_threads), first_job(study_tree, tmp_path)

    record = worker.train(job)

    assert (record.status, record.message) == ("failed", message)
    assert record == read_record(job.record_file)
    with pytest.raises(JobFailed, match=message):
        worker.time(job, 1.0)


@pytest.mark.slow
def test_an_interrupted_run_interrupts_the_study(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    job = first_job(study_tree, tmp_path)

    with pytest.raises(Interrupted, match="go on with --resume"):
        ProcessWorker(be_interrupted).train(job)

    assert not job.record_file.exists()


def test_a_signal_lets_the_run_be_saved_before_the_study_ends(
    study_tree: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    class Process:
        def __init__(self, **_arguments: object) -> None: ...

        def start(self) -> None:
            calls.append("start")

        def terminate(self) -> None:
            calls.append("terminate")

        def join(self) -> None:
            calls.append("join")
            if calls.count("join") == 1:
                raise KeyboardInterrupt

    context = SimpleNamespace(Process=Process)
    monkeypatch.setattr(processes.multiprocessing, "get_context", lambda _method: context)

    with pytest.raises(Interrupted, match="go on with --resume"):
        ProcessWorker(use_threads).train(first_job(study_tree, tmp_path))

    assert calls == ["start", "join", "terminate", "join"]

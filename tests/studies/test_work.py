"""Training, going on, and timing of one job, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.studies.test_processes import first_job
from vesuv.config import load_config
from vesuv.errors import Interrupted
from vesuv.runs.folder import RunFolder
from vesuv.runs.history import Metrics
from vesuv.studies.records import Job
from vesuv.studies.work import (
    curve_column,
    read_curve,
    time_step_of,
    train_and_score,
)
from vesuv.training.reporting import Listener, StepProgress
from vesuv.training.train import train


@pytest.fixture
def job(study_tree: dict[str, Any], tmp_path: Path) -> Job:
    study_tree["study"]["score"] = {"measures": ["dice"], "selection": False}
    return first_job(study_tree, tmp_path)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_result(job: Job, tmp_path: Path) -> None:
    def stop(at: StepProgress) -> None:
        if at.epoch == 2:
            raise Interrupted("SIGTERM")

    whole = train_and_score(job)
    part = Job(**{**vars(job), "run": tmp_path / "part/fold_0_seed_0"})
    with pytest.raises(Interrupted):
        config = load_config(job.base, job.changes)
        train(config, fold=0, output=part.run, listener=Listener(step=stop))
    assert RunFolder(part.run).exists

    record = train_and_score(part)

    assert "Resumed at step" in (part.run / "train.log").read_text()
    assert record.scores == whole.scores
    assert [point[1:] for point in record.curve] == [point[1:] for point in whole.curve]


def test_timing_leaves_no_run_behind(job: Job) -> None:
    seconds = time_step_of(job, 0.3)

    assert 0 < seconds < 5
    assert not job.run.exists()


def test_the_curve_follows_the_scored_checkpoint(job: Job) -> None:
    config = load_config(job.base, [*job.changes, "validation.measure=iou"])

    assert curve_column(config, "ema") == ("val/ema_iou", "iou (ema)")
    assert curve_column(config, "last") == ("val/iou", "iou")


def test_minutes_and_steps_add_up_over_epochs() -> None:
    rows = (
        {"epoch": 0.0, "seconds": 30.0},
        {"epoch": 1.0, "seconds": 30.0, "val/dice": 0.25},
        {"epoch": 2.0, "seconds": 60.0, "val/dice": 0.5},
    )
    points, minutes, steps = read_curve(Metrics(rows), "val/dice", steps_per_epoch=5)

    assert points == ((1.0, 10, 0.25), (2.0, 15, 0.5))
    assert (minutes, steps) == (2.0, 15)

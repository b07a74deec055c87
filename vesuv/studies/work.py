"""What a process of its own does for a job: train and score, or time the steps."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from vesuv.config import Config, load_config
from vesuv.models import build_model
from vesuv.runs.folder import RunFolder
from vesuv.runs.history import RunHistory
from vesuv.studies.records import CurvePoint, Job, Record
from vesuv.studies.scores import score_run
from vesuv.training.reporting import Listener, StepProgress
from vesuv.training.train import train

_NUM_FIRST_STEPS = 2
"""Steps that are not timed: caches and memory are empty."""
_STEPS_WHILE_TIMED = 100_000
"""Steps of the only epoch; the time limit ends it."""


def train_and_score(job: Job) -> Record:
    """Train a job, or go on where it was interrupted, and score it.

    Raises:
        InputError: It cannot be trained or scored.
        Interrupted: A signal came; the run is saved.
    """
    config = load_config(job.base, job.changes)
    run = RunFolder(job.run)
    goes_on = run.exists and "last" in run.checkpoints()
    train(config, fold=job.fold, output=job.run, resume=goes_on, overwrite=not goes_on)
    scores, cases = score_run(job)
    column, name = curve_column(run.config, job.checkpoint)
    curve, minutes, steps = read_curve(RunHistory.read(job.run), column)
    return Record(
        job.arm,
        job.fold,
        job.seed,
        "finished",
        job.changes,
        minutes=minutes,
        steps=steps,
        parameters=_num_parameters(run.config),
        checkpoint=job.checkpoint,
        scores=scores,
        cases=cases,
        curve=curve,
        curve_name=name,
    )


def time_step(job: Job, seconds: float) -> float:
    """Return the seconds of a training step, waiting for data included.

    Args:
        job: A job without length.
        seconds: How long to train for it.
    """
    changes = (
        *job.changes,
        f"train.steps_per_epoch={_STEPS_WHILE_TIMED}",
        "validation.tiles=1",
        f"runtime.max_minutes={seconds / 60}",
    )
    config = load_config(job.base, changes)
    times: list[float] = []

    def note_time(_progress: StepProgress) -> None:
        times.append(time.monotonic())

    with tempfile.TemporaryDirectory(prefix="vesuv-") as folder:
        run = Path(folder) / "run"
        train(config, fold=job.fold, output=run, listener=Listener(step=note_time))
        whole_epoch = RunHistory.read(run).metrics.value_at("seconds", 0)
    return seconds_per_step(times, whole_epoch or seconds)


def seconds_per_step(times: Sequence[float], whole_epoch: float) -> float:
    """Return the mean time between steps.

    Args:
        times: When each step ended, in seconds.
        whole_epoch: Seconds of all steps, for a network so slow that one step was made.
    """
    first = min(_NUM_FIRST_STEPS, len(times)) - 1
    timed = times[max(first, 0) :]
    if len(timed) < 2:
        return whole_epoch / max(len(times), 1)
    return (timed[-1] - timed[0]) / (len(timed) - 1)


def curve_column(config: Config, checkpoint: str) -> tuple[str, str]:
    """Return the column of metrics.csv that follows the scored checkpoint, and its name."""
    measure = config.validation.measure
    if checkpoint in ("ema", "swa"):
        return f"val/{checkpoint}_{measure}", f"{measure} ({checkpoint})"
    return f"val/{measure}", measure


def read_curve(history: RunHistory, column: str) -> tuple[tuple[CurvePoint, ...], float, int]:
    """Return the points of a measure over minutes and steps, and the minutes and steps of the run.

    Args:
        history: The run's files.
        column: Column of metrics.csv.
    """
    assert history.config is not None
    steps_per_epoch = history.config.train.steps_per_epoch or 1
    seconds, points = 0.0, []
    for row in history.metrics.rows:
        seconds += row.get("seconds", 0.0)
        value = row.get(column, math.nan)
        if math.isfinite(value):
            points.append((seconds / 60, (int(row["epoch"]) + 1) * steps_per_epoch, value))
    num_epochs = (history.metrics.last_epoch or 0) + 1
    return tuple(points), seconds / 60, num_epochs * steps_per_epoch


def _num_parameters(config: Config) -> int:
    network = build_model(config.model)
    return sum(one.numel() for one in network.parameters() if one.requires_grad)

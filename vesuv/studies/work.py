"""What a process of its own does for a job: train and score, or time the steps."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import nn

from vesuv.config import Config, load_config
from vesuv.curves.config import CurvesConfig
from vesuv.curves.train import train_curves
from vesuv.curves.validation import MEASURE
from vesuv.models import build_model
from vesuv.runs.folder import RunFolder
from vesuv.runs.history import Metrics, RunHistory
from vesuv.runtime.machine import resolve
from vesuv.studies.detectors import last_scores, load_study_config
from vesuv.studies.records import CurvePoint, Job, Record
from vesuv.studies.scores import score_run
from vesuv.training.run_length import time_step, timing_changes
from vesuv.training.train import train


def train_and_score(job: Job) -> Record:
    """Train a job, or go on where it was interrupted, and score it.

    Raises:
        InputError: It cannot be trained or scored.
        Interrupted: A signal came; the run is saved.
    """
    config = load_study_config(job.base, job.changes)
    run = RunFolder(job.run)
    goes_on = run.exists and "last" in run.checkpoints()
    if isinstance(config, CurvesConfig):
        return _train_detector(job, config, goes_on=goes_on)
    train(config, fold=job.fold, output=job.run, resume=goes_on, overwrite=not goes_on)
    scores, cases = score_run(job)
    column, name = curve_column(run.config, job.checkpoint)
    metrics = RunHistory.read(job.run).metrics
    curve = read_curve(metrics, column, run.config.train.steps_per_epoch or 1)
    record = _record(job, build_model(run.config.model), curve, name)
    return replace(record, scores=scores, cases=cases)


def _train_detector(job: Job, config: CurvesConfig, *, goes_on: bool) -> Record:
    """Train a detector of curves; its scores are those of its last validation."""
    origin = {"config_file": job.base, "overrides": job.changes}
    trainer = train_curves(
        config,
        job.fold,
        RunFolder(job.run),
        resolve(config.runtime.shared()),
        resume=goes_on,
        overwrite=not goes_on,
        origin=origin,
    )
    metrics = RunHistory.read(job.run).metrics
    curve = read_curve(metrics, f"val/{MEASURE}", config.train.steps_per_epoch)
    record = _record(job, trainer.detector, curve, MEASURE)
    return replace(record, scores=last_scores(metrics))


def _record(
    job: Job, network: nn.Module, curve: tuple[tuple[CurvePoint, ...], float, int], name: str
) -> Record:
    """Return the record of a finished job without its scores.

    Args:
        job: The job.
        network: What was trained.
        curve: Result of `read_curve`.
        name: Name of the measure of the curve.
    """
    points, minutes, steps = curve
    return Record(
        job.arm,
        job.fold,
        job.seed,
        "finished",
        job.changes,
        minutes=minutes,
        steps=steps,
        parameters=_num_parameters(network),
        checkpoint=job.checkpoint,
        curve=points,
        curve_name=name,
    )


def time_step_of(job: Job, seconds: float) -> float:
    """Return the seconds of a training step of a job without length.

    Args:
        job: The job.
        seconds: How long to train for it.
    """
    return time_step(load_config(job.base, [*job.changes, *timing_changes(seconds)]), job.fold)


def curve_column(config: Config, checkpoint: str) -> tuple[str, str]:
    """Return the column of metrics.csv that follows the scored checkpoint, and its name."""
    measure = config.validation.measure
    if checkpoint in ("ema", "swa"):
        return f"val/{checkpoint}_{measure}", f"{measure} ({checkpoint})"
    return f"val/{measure}", measure


def read_curve(
    metrics: Metrics, column: str, steps_per_epoch: int
) -> tuple[tuple[CurvePoint, ...], float, int]:
    """Return the points of a measure over minutes and steps, and the minutes and steps of the run.

    Args:
        metrics: metrics.csv of the run.
        column: A column of it.
        steps_per_epoch: Steps in one epoch.
    """
    seconds, points = 0.0, []
    for row in metrics.rows:
        seconds += row.get("seconds", 0.0)
        value = row.get(column, math.nan)
        if math.isfinite(value):
            points.append((seconds / 60, (int(row["epoch"]) + 1) * steps_per_epoch, value))
    num_epochs = (metrics.last_epoch or 0) + 1
    return tuple(points), seconds / 60, num_epochs * steps_per_epoch


def _num_parameters(network: nn.Module) -> int:
    return sum(one.numel() for one in network.parameters() if one.requires_grad)

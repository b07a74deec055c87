"""Length of a run in steps, with everything that counts epochs spread over it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vesuv.config import Config, load_config
from vesuv.errors import InputError
from vesuv.runs.history import RunHistory
from vesuv.training.fold_data import FoldName
from vesuv.training.reporting import Listener, StepProgress
from vesuv.training.train import train

_LEAST_EPOCHS = 10
"""Epochs of a short run, so that its validation curve has points."""
_NUM_FIRST_STEPS = 2
"""Steps that are not timed: caches and memory are empty."""
_STEPS_WHILE_TIMED = 100_000
"""Steps of the only epoch; the time limit ends it."""
_TIMED_SHARE = 0.02
"""Duration of the timing as a share of the minutes."""
STEP_SHARE = 0.85
"""Share of a run's time that is spent on steps; the rest validates, averages and saves."""
FIRST_SHARE = 0.3
"""Share of a run's time after which its length is set anew, by the epochs that it took."""
_FILLED_SHARE = 0.94
"""Share of the time left that the further epochs fill; the rest is for the end of the run."""


def length_changes(config: Config, num_steps: int) -> list[str]:
    """Return the changes that make a run of (almost) this many steps.

    The number of epochs is that of whole epochs of the configured length, at least ten; the steps
    of an epoch follow, so that at most one step an epoch is missing. Phases, warm-up, and the first
    epochs of SWA and weight noise keep their share of the run.

    Args:
        config: Configuration of the arm.
        num_steps: Steps, at least 1.
    """
    epochs = num_epochs(config.train.steps_per_epoch or num_steps, num_steps)
    scale = epochs / config.train.epochs
    warmup = config.scheduler.warmup_epochs
    values: dict[str, Any] = {
        "train.epochs": epochs,
        "train.steps_per_epoch": num_steps // epochs,
        "phases": _scaled_phases(config, scale, epochs),
        "scheduler.warmup_epochs": max(1, round(warmup * scale)) if warmup else 0,
    }
    if config.averaging.swa is not None:
        start = round(config.averaging.swa.start_epoch * scale)
        values["averaging.swa.start_epoch"] = min(start, epochs - 1)
    if config.noise is not None:
        values["noise.start_epoch"] = round(config.noise.start_epoch * scale)
        values["noise.every"] = max(1, round(config.noise.every * scale))
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]


def num_epochs(steps_per_epoch: int, num_steps: int) -> int:
    """Return the epochs of a run of `num_steps` steps: at least ten, or one for each step."""
    return max(round(num_steps / steps_per_epoch), min(_LEAST_EPOCHS, num_steps))


def _scaled_phases(config: Config, scale: float, epochs: int) -> list[dict[str, Any]]:
    """Return the phases with scaled epochs; a phase that would be empty is left out."""
    starts = [round(phase.epochs[0] * scale) for phase in config.phases]
    ends = [*starts[1:], epochs]
    kept = [
        (phase, start, end)
        for phase, start, end in zip(config.phases, starts, ends, strict=True)
        if start < min(end, epochs)
    ]
    return [
        {
            "epochs": [start, None if index == len(kept) - 1 else end - 1],
            "weights": dict(phase.weights),
            "ramp": round(phase.ramp * scale),
        }
        for index, (phase, start, end) in enumerate(kept)
    ]


def minutes_changes(
    file: str | Path, changes: Sequence[str], fold: FoldName, minutes: float
) -> list[str]:
    """Time the steps on this machine and return the changes of a run that fills some minutes.

    Epochs, phases, warm-up and averages are scaled, so that the schedule of the learning rate ends
    when the run does. A time limit is among the changes, for a machine that becomes slower.

    Args:
        file: Configuration file, or the name of a shipped one.
        changes: Changes of it, each `section.key=value`.
        fold: Fold to time.
        minutes: Duration of the whole run, this timing and validation included.

    Raises:
        InputError: The minutes are over after timing, or as in `train`.
    """
    start = time.monotonic()
    timing = timing_changes(60 * minutes * _TIMED_SHARE)
    step_seconds = time_step(load_config(file, [*changes, *timing]), fold)
    seconds = 60 * minutes - (time.monotonic() - start)
    if seconds * STEP_SHARE < step_seconds:
        raise InputError(
            f"--minutes: must leave time for a step after timing, which took "
            f"{60 * minutes - seconds:.0f} s with {step_seconds:.2g} s a step, found {minutes:g}; "
            "give more"
        )
    length = length_changes(load_config(file, changes), int(seconds * STEP_SHARE / step_seconds))
    return [*length, f"runtime.max_minutes={seconds / 60:.3g}"]


def can_set_length_anew(config: Config) -> bool:
    """Return whether a run may get another number of epochs after it has begun.

    Then nothing but the learning rate depends on that number, and continues on the curve of the
    new one: a poly schedule and one phase, no SWA and no weight noise.
    """
    return (
        config.scheduler.name == "poly"
        and len(config.phases) == 1
        and config.averaging.swa is None
        and config.noise is None
    )


def epochs_within(seconds: float, epochs: int, seconds_taken: float) -> int:
    """Return the epochs of a run that goes on at the speed of its first ones.

    Args:
        seconds: Time left.
        epochs: Number of its first epochs.
        seconds_taken: Duration of these, validation included.

    Returns:
        All epochs, the first ones included; at least one more than these.
    """
    return epochs + max(1, int(_FILLED_SHARE * seconds * epochs / seconds_taken))


def timing_changes(seconds: float) -> list[str]:
    """Return the changes of a run that trains for some seconds in order to be timed."""
    return [
        f"train.steps_per_epoch={_STEPS_WHILE_TIMED}",
        "validation.tiles=1",
        "validation.full_every=null",
        f"runtime.max_minutes={seconds / 60}",
    ]


def time_step(config: Config, fold: FoldName) -> float:
    """Return the seconds of a training step, waiting for data included.

    Args:
        config: A configuration with `timing_changes`.
        fold: Fold number, or "all".
    """
    times: list[float] = []

    def note_time(_progress: StepProgress) -> None:
        times.append(time.monotonic())

    with tempfile.TemporaryDirectory(prefix="vesuv-") as folder:
        run = Path(folder) / "run"
        train(config, fold=fold, output=run, listener=Listener(step=note_time))
        whole_epoch = RunHistory.read(run).metrics.value_at("seconds", 0)
    return seconds_per_step(times, whole_epoch or 60 * (config.runtime.max_minutes or 0.0))


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

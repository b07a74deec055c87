"""Length of a run and what depends on it: optimiser, averages, augmentation, validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vesuv.io.printable import number_of
from vesuv.planning.choices import Choice
from vesuv.planning.sizing import MIN_STEPS
from vesuv.runtime.machine import Machine
from vesuv.training.run_length import STEP_SHARE

_SHORT_RUN = 5000
"""Steps below which a run counts as short."""
_LONG_EPOCHS, _LONG_STEPS = 1000, 250
"""Epochs, and steps of each, of a run without a limit of time."""
_SHORT_STEPS = 50
"""Steps of an epoch of a short run."""
_OFF = {"p": 0.0}


@dataclass(frozen=True)
class Schedule:
    """Length of a run.

    Args:
        epochs: Epochs.
        steps_per_epoch: Steps of each.
        step_seconds: Measured duration of a step; None: not measured.
        minutes: Duration of the run; None: any.
    """

    epochs: int
    steps_per_epoch: int
    step_seconds: float | None
    minutes: float | None

    @classmethod
    def of(cls, minutes: float | None, step_seconds: float | None) -> Schedule:
        """Return as many epochs as fit into the minutes; a fixed number without them."""
        if minutes is None or step_seconds is None:
            return cls(_LONG_EPOCHS, _LONG_STEPS, step_seconds, minutes)
        steps = max(1, int(60 * minutes * STEP_SHARE / step_seconds))
        per_epoch = min(steps, _SHORT_STEPS if steps < _SHORT_RUN else _LONG_STEPS)
        return cls(max(1, steps // per_epoch), per_epoch, step_seconds, minutes)

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return self.epochs * self.steps_per_epoch

    @property
    def is_short(self) -> bool:
        """Whether it has so few steps that it learns faster from plain patches."""
        return self.steps < _SHORT_RUN

    @property
    def warning(self) -> str | None:
        """What to say of a run with too few steps."""
        if self.steps >= MIN_STEPS:
            return None
        return (
            f"only {number_of(self.steps, 'step')} fit{'s' * (self.steps == 1)} into "
            f"{_minutes(self)}, of which a network learns little; give more --minutes"
        )


def schedule_choices(
    schedule: Schedule, machine: Machine, network: str = "plain_unet"
) -> tuple[Choice, ...]:
    """Return all choices that depend on the length of the run, and the network's optimiser."""
    return (
        _augmentation(schedule),
        Choice(
            "loss",
            {"phases": [{"epochs": [0, None], "weights": {"dice": 1.0, "cross_entropy": 1.0}}]},
            "Dice for the overlap, cross-entropy for a gradient at every voxel",
        ),
        _epochs(schedule, machine),
        _optimizer(schedule, network),
        Choice(
            "schedule",
            {"scheduler": {"name": "poly", "warmup_epochs": min(1, schedule.epochs - 1)}},
            "the learning rate falls to 0 at the end of the run",
        ),
        Choice(
            "averaging",
            {"averaging.ema": {"decay": 0.995 if schedule.is_short else 0.999}},
            f"mean weights of the last {200 if schedule.is_short else 1000} steps, a checkpoint "
            "beside the last one",
        ),
        *_validation(schedule),
        *_time_limit(schedule),
    )


def _augmentation(schedule: Schedule) -> Choice:
    if not schedule.is_short:
        return Choice("augmentation", {}, "all, as the run is long", of="augment")
    values: dict[str, Any] = {
        f"augment.{name}": _OFF for name in ("rotation", "scaling", "blur", "low_resolution")
    }
    values["augment.gamma"] = {**_OFF, "p_inverted": 0.0}
    return Choice(
        "augmentation",
        values,
        "flips, quarter turns, noise, brightness and contrast; warping and blurring cost time and "
        "pay in longer runs",
    )


def _epochs(schedule: Schedule, machine: Machine) -> Choice:
    values = {
        "train.epochs": schedule.epochs,
        "train.steps_per_epoch": schedule.steps_per_epoch,
    }
    if schedule.step_seconds is None or schedule.minutes is None:
        return Choice("epochs", values, f"{schedule.steps} steps, a long run: no time was given")
    return Choice(
        "epochs",
        values,
        f"a step takes {schedule.step_seconds:.2g} s on this machine ({machine.device}, "
        f"{number_of(machine.threads, 'thread')}): {number_of(schedule.steps, 'step')} in "
        f"{_minutes(schedule)}",
    )


def _optimizer(schedule: Schedule, network: str) -> Choice:
    if network == "residual_encoder_unet" and not schedule.is_short:
        return Choice("optimizer", {"optimizer": {"name": "sgd"}}, "SGD, as nnU-Net trains it")
    if not schedule.is_short:
        return Choice("optimizer", {}, "AdamW with its default rate of 5e-4", of="optimizer")
    return Choice(
        "optimizer",
        {"optimizer": {"name": "muon"}},
        "Muon with its default rate: in a short run it learns from a third of AdamW's steps",
    )


def _validation(schedule: Schedule) -> tuple[Choice, ...]:
    if not schedule.is_short:
        return ()
    return (
        Choice(
            "validation",
            {"validation.tiles": 8, "validation.every": 2},
            "few tiles every other epoch, to leave the time to training",
        ),
    )


def _time_limit(schedule: Schedule) -> tuple[Choice, ...]:
    if schedule.minutes is None:
        return ()
    values = {"runtime.max_minutes": schedule.minutes}
    return (Choice("time", values, f"the run is saved and ends after {_minutes(schedule)}"),)


def _minutes(schedule: Schedule) -> str:
    return number_of(float(schedule.minutes or 0.0), "minute")

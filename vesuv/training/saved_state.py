"""The training state in last.pt, checked before any of it is loaded.

A checkpoint's checksums tell that nobody damaged it by chance; its content may still be another
run's or edited. PyTorch's optimizers copy what they are given and their kernels trust its shapes,
and a number beyond the run's length would train or wait for ever.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor
from torch.optim import Optimizer

from vesuv.runs.checkpoints import first_difference
from vesuv.runs.fields import first_fault
from vesuv.training.optimizers import moment_names

_COUNTS = ("_voxels", "_valid", "_foreground", "_patches", "_with_foreground")
_LARGEST_COUNT = 2**62


@dataclass(frozen=True)
class RunLength:
    """Bounds of a run's numbers: epochs, and steps of an epoch."""

    epochs: int
    steps_per_epoch: int

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Progress(_Strict):
    epoch: int = Field(ge=0)
    step: int = Field(ge=0)
    best_measure: float | None
    best_epoch: int = Field(ge=0)
    skipped: int = Field(ge=0)
    forgiven: int = Field(ge=0)
    rollbacks: int = Field(ge=0)


class _Plateau(_Strict):
    best: float | None
    worse: int = Field(ge=0)
    escapes: int = Field(ge=0)


Kind = TypeVar("Kind", bound=_Strict)


def check_saved_state(
    saved: Mapping[str, Any], fresh: Mapping[str, Any], optimizer: Optimizer, length: RunLength
) -> dict[str, Any]:
    """Check the training state of a checkpoint against that of a run which begins.

    Args:
        saved: Content of the checkpoint.
        fresh: The same content of the run before its first step.
        optimizer: The run's; it is not changed.
        length: Of the longer one of the run and the one that was saved.

    Returns:
        The state to load: settings are the run's own, and moments are laid out as its parameters.

    Raises:
        ValueError: Names the first entry that is missing, of another kind, or out of bounds.
    """
    missing = [name for name in fresh if name not in saved]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    _check_progress(saved["progress"], length)
    if fresh["plateau"] is not None:
        plateau = _read(_Plateau, "plateau", saved["plateau"])
        _check_order("plateau.worse", plateau.worse, 2 * length.epochs)
        _check_order("plateau.escapes", plateau.escapes, length.epochs)
    _check_averages(saved["averages"], fresh["averages"], length)
    return {
        **{name: saved[name] for name in fresh},
        "optimizer": _checked_optimizer(saved["optimizer"], fresh["optimizer"], optimizer, length),
        "schedule": _checked_schedule(saved["schedule"], fresh["schedule"], length),
        "sums": _checked_sums(saved["sums"], saved["progress"]["step"]),
    }


def _read(kind: type[Kind], place: str, content: object) -> Kind:
    try:
        return kind.model_validate(content)
    except ValidationError as fault:
        raise ValueError(f"{place}.{first_fault(fault)}") from None


def _check_progress(content: object, length: RunLength) -> None:
    progress = _read(_Progress, "progress", content)
    _check_order("progress.epoch", progress.epoch, length.epochs)
    _check_order("progress.step", progress.step, length.steps_per_epoch)
    position = progress.epoch * length.steps_per_epoch + progress.step
    _check_order("progress.step", position, length.steps)
    _check_order("progress.best_epoch", progress.best_epoch, progress.epoch)
    _check_order("progress.skipped", progress.skipped, position)
    _check_order("progress.forgiven", progress.forgiven, progress.skipped)
    _check_order("progress.rollbacks", progress.rollbacks, position)


def _check_order(place: str, value: float, largest: float) -> None:
    if value > largest:
        raise ValueError(f"{place} must be at most {largest}, found {value!s:.60}")


def _check_averages(saved: object, fresh: Mapping[str, Any], length: RunLength) -> None:
    for name, expected in fresh.items():
        tensors = _mapping(f"averages.{name}", _mapping("averages", saved).get(name))
        difference = first_difference(expected, tensors)
        if difference is not None:
            raise ValueError(f"averages.{name}.{difference}")
        num_averaged = int(tensors["n_averaged"])
        if not 0 <= num_averaged <= length.steps:
            raise ValueError(
                f"averages.{name}.n_averaged must be 0 to {length.steps}, found {num_averaged}"
            )


def _checked_optimizer(
    saved: object, fresh: Mapping[str, Any], optimizer: Optimizer, length: RunLength
) -> dict[str, Any]:
    """Return the optimizer's state with the run's own settings, and moments in its own layout."""
    content = _mapping("optimizer", saved)
    groups = content.get("param_groups")
    names = [
        group.get("params") if isinstance(group, Mapping) else None
        for group in (groups if isinstance(groups, list) else [])
    ]
    if names != [group["params"] for group in fresh["param_groups"]]:
        raise ValueError("optimizer.param_groups must list the parameters of this network")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    states = {}
    for index, moments in _mapping("optimizer.state", content.get("state")).items():
        place = f"optimizer.state.{index!s:.20}"
        if type(index) is not int or not 0 <= index < len(parameters):
            raise ValueError(f"{place} is not known")
        expected = moment_names(optimizer, parameters[index])
        if set(_mapping(place, moments)) != expected:
            raise ValueError(f"{place} must have {', '.join(sorted(expected))}")
        states[index] = _checked_moments(place, moments, parameters[index], length)
    return {"state": states, "param_groups": fresh["param_groups"]}


def _checked_moments(
    place: str, moments: Mapping[str, Any], parameter: Tensor, length: RunLength
) -> dict[str, Tensor]:
    expected = {
        name: torch.zeros((), dtype=torch.float32) if name == "step" else parameter
        for name in moments
    }
    difference = first_difference(expected, moments)
    if difference is not None:
        raise ValueError(f"{place}.{difference}")
    if "step" in moments and not 0 <= float(moments["step"]) <= length.steps:
        raise ValueError(f"{place}.step must be 0 to {length.steps}, found {moments['step']}")
    return {
        name: value if name == "step" else torch.empty_like(parameter).copy_(value)
        for name, value in moments.items()
    }


def _checked_schedule(saved: object, fresh: Mapping[str, Any], length: RunLength) -> dict[str, Any]:
    """Return the state of the schedule; what this version does not know is left out."""
    content = _mapping("schedule", saved)
    state = _mapping("schedule.schedule", content.get("schedule"))
    checked = {}
    for name, expected in fresh["schedule"].items():
        if name in state:
            _check_like(f"schedule.{name}", state[name], expected, length)
            checked[name] = state[name]
    rates = {"lr": content.get("lr"), "peak_lr": content.get("peak_lr", fresh["peak_lr"])}
    for name, rate in rates.items():
        _check_like(f"schedule.{name}", rate, 0.0, length)
    if "last_epoch" not in checked:
        raise ValueError("schedule.last_epoch is missing")
    return {**rates, "schedule": checked}


def _check_like(place: str, value: Any, expected: Any, length: RunLength) -> None:
    """Check that a value has the kind of the expected one, and is a number that can occur."""
    if isinstance(expected, (list, tuple)):
        if not isinstance(value, (list, tuple)) or len(value) != len(expected):
            raise ValueError(f"{place} must be {len(expected)} numbers, found {value!r:.60}")
        for item, expected_item in zip(value, expected, strict=True):
            _check_like(place, item, expected_item, length)
    elif isinstance(expected, float):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        lowest = min(expected, 0.0)  # minus infinity of the best measure, which may be below 0
        if not is_number or not (value == expected or lowest <= value < math.inf):
            raise ValueError(f"{place} must be a number from {lowest:g}, found {value!r:.60}")
    elif type(expected) is int:
        largest = max(expected, length.steps + 2)
        if type(value) is not int or not 0 <= value <= largest:
            raise ValueError(f"{place} must be 0 to {largest}, found {value!r:.60}")
    elif type(value) is not type(expected) or (isinstance(value, str) and value != expected):
        raise ValueError(f"{place} must be {expected!r:.60}, found {value!r:.60}")


def _checked_sums(saved: object, step: int) -> Mapping[str, Tensor] | None:
    """Return the sums of an epoch that had begun."""
    if not step:
        return None
    sums = _mapping("sums", saved)
    if "taken" not in sums:
        raise ValueError("sums.taken is missing")
    for name, value in sums.items():
        is_count = name in _COUNTS
        is_sum = str(name).startswith(("loss_", "steps_"))
        is_known = is_count or is_sum or name in ("taken", "loss", "gradient_norm")
        dtype = torch.int64 if is_count else torch.float32
        if not is_known or not isinstance(value, Tensor) or value.shape or value.dtype != dtype:
            raise ValueError(f"sums.{name!s:.60} must be a number of {dtype}")
        if is_count and not 0 <= int(value) <= _LARGEST_COUNT:
            raise ValueError(f"sums.{name} must be a count, found {int(value)}")
    return sums


def _mapping(place: str, content: object) -> Mapping[Any, Any]:
    if not isinstance(content, Mapping):
        raise ValueError(f"{place} must be a mapping, found {type(content).__name__}")
    return content

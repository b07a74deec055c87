"""Length of a run in steps, with everything that counts epochs spread over it."""

from __future__ import annotations

import json
from typing import Any

from vesuv.config import Config

_LEAST_EPOCHS = 10
"""Epochs of a short run, so that its validation curve has points."""


def length_changes(config: Config, num_steps: int) -> list[str]:
    """Return the changes that make a run of (almost) this many steps.

    The number of epochs is that of whole epochs of the configured length, at least ten; the steps
    of an epoch follow, so that at most one step an epoch is missing. Phases, warm-up, and the first
    epochs of SWA and weight noise keep their share of the run.

    Args:
        config: Configuration of the arm.
        num_steps: Steps, at least 1.
    """
    configured_steps = config.train.steps_per_epoch or num_steps
    epochs = max(round(num_steps / configured_steps), min(_LEAST_EPOCHS, num_steps))
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

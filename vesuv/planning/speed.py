"""Speed of training on this machine, measured in a few seconds."""

from __future__ import annotations

import time
from statistics import median

import torch

from vesuv.config import Config
from vesuv.planning.cost import build_step, empty_batch, step_cost
from vesuv.runtime.machine import Machine, for_training
from vesuv.training.phases import weights_at

_MAX_SECONDS = 3.0
"""No further step is timed after this time."""
_MAX_STEPS = 12


def seconds_per_step(config: Config, machine: Machine) -> float:
    """Time optimisation steps on noise: one to warm up, then the median of some more.

    Reading, augmentation and validation are not among them.
    """
    machine = for_training(machine, config)
    step, batch = build_step(config, machine), empty_batch(config, machine.device)
    batch.image.normal_()
    batch.label.copy_(batch.image[:, 0] > 1.0)
    weights = weights_at(config.phases, 0, config.terms)
    durations: list[float] = []
    begin = time.monotonic()
    for _ in range(1 + _MAX_STEPS):
        start = time.monotonic()
        step(batch, weights)
        if machine.device.type == "cuda":
            torch.cuda.synchronize(machine.device)
        durations.append(time.monotonic() - start)
        if len(durations) > 1 and time.monotonic() - begin > _MAX_SECONDS:
            break
    return median(durations[1:])


def flops_per_second(config: Config, machine: Machine) -> float:
    """Return the work of a step by its duration, for guesses at steps of other sizes."""
    return step_cost(config, machine).flops / seconds_per_step(config, machine)

"""Speed of training on this machine, measured in a few seconds."""

from __future__ import annotations

import os
import time
from statistics import median

import torch

from vesuv.config import Config
from vesuv.io.printable import number_of
from vesuv.planning.cost import build_step, empty_batch, step_cost
from vesuv.runtime.machine import Machine, for_training
from vesuv.training.phases import weights_at

_MAX_SECONDS = 3.0
"""No further step is timed after this time."""
_MAX_STEPS = 12
_MAX_BUSY_SHARE = 0.5
"""Share of the cores of training that other programs may use while steps are timed."""


def timing_doubt(machine: Machine) -> str | None:
    """Say why durations of steps are not to be trusted now; None: no doubt.

    The load average of the last minute is that of other programs, so ask before steps are timed.
    """
    if machine.device.type != "cpu" or not hasattr(os, "getloadavg"):
        return None
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load <= cores - _MAX_BUSY_SHARE * machine.threads:
        return None
    return (
        f"the load average is {load:.1f} on {number_of(cores, 'core')}: other programs slow down "
        "the steps that are timed here, so the proposal is too small; run init again when they "
        "have ended"
    )


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

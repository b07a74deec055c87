"""From a folder of raw data to a proposal: recognise, survey, measure, plan."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from vesuv.config.data import DataConfig
from vesuv.config.dataset_json import read_dataset_json
from vesuv.config.training import RuntimeConfig
from vesuv.data.layouts import find_cases
from vesuv.errors import InputError
from vesuv.io.formats import stem
from vesuv.planning.memory import memory_budget
from vesuv.planning.proposal import DataSource, Planner, Proposal
from vesuv.planning.recognition import Recognition, recognise
from vesuv.planning.residual_sizing import NetworkName
from vesuv.planning.sizing import Resources
from vesuv.planning.speed import flops_per_second, seconds_per_step
from vesuv.planning.survey import survey_cases
from vesuv.runtime.machine import resolve
from vesuv.types import Progress, no_progress

_MAX_TRIALS = 3
"""Sizes that are timed: where one is slower than expected, the next one is chosen by the
speed of that."""

_MAX_SECONDS = 15.0
"""No further size is timed after this time."""


def read_source(root: Path, progress: Progress = no_progress) -> DataSource:
    """Recognise the layout of a folder and survey its volumes.

    Args:
        root: Folder of the raw data.
        progress: Called with the number of cases that are read, and of those to read.

    Raises:
        InputErrors: The layout is not known, files are missing, or a volume cannot be read.
    """
    recognition = recognise(root)
    survey = survey_cases(find_cases(_section(root, recognition)), progress)
    name = stem(root.resolve()) or "data"
    place = str(root.resolve())
    if recognition.data["layout"] != "nnunet":
        return DataSource(name, place, recognition, survey)
    stated = read_dataset_json(root)
    return DataSource(
        name, place, recognition, survey, stated.labels_section(), stated.channel_names or ()
    )


def _section(root: Path, recognition: Recognition) -> DataConfig:
    return DataConfig.model_validate({"root": str(root), **recognition.data})


def plan(
    source: DataSource,
    minutes: float,
    memory: float | None = None,
    network: NetworkName = "auto",
) -> Proposal:
    """Measure the machine and propose a configuration that trains for some minutes.

    Args:
        source: The data set.
        minutes: Duration of a run.
        memory: Bytes that training may take; None: most of what is available.
        network: Network to propose, see `Planner`.

    Raises:
        InputError: The memory is too small for the smallest network, or a package is missing.
    """
    start, machine = time.monotonic(), resolve(RuntimeConfig())
    resources = Resources(machine, memory_budget(machine.device, memory), minutes)
    planner = Planner(source, resources, network)
    speed = flops_per_second(planner.trial_config(), machine)
    for _ in range(_MAX_TRIALS):
        planner = Planner(source, replace(resources, flops_per_second=speed), network)
        size = planner.size()
        seconds = seconds_per_step(size.config, machine)
        speed = size.cost.flops / seconds
        is_fast = seconds <= (resources.step_seconds(size.min_steps) or seconds)
        if is_fast or time.monotonic() - start > _MAX_SECONDS:
            break
    if size.memory.needed > resources.memory:
        raise InputError(
            f"--memory: the smallest proposal takes {size.memory.needed / 1e9:.1f} GB, found "
            f"{resources.memory / 1e9:.1f} GB; give more, or free memory"
        )
    return planner.propose(size, seconds)

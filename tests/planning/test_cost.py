from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import tiny_tree
from vesuv.config import Config, check
from vesuv.planning.cost import build_step, empty_batch, step_cost
from vesuv.planning.speed import seconds_per_step
from vesuv.runtime.machine import Machine
from vesuv.training.phases import weights_at

FLOAT32 = Machine(torch.device("cpu"), "float32", 0, 1, "worker")
BFLOAT16 = Machine(torch.device("cpu"), "bfloat16", 0, 1, "worker")


def config(patch: list[int], batch_size: int = 2, **model: Any) -> Config:
    tree = tiny_tree(Path("data"), Path("store"))
    tree["sampling"] = {"patch_size": patch, "batch_size": batch_size}
    tree["model"] = {"filters": 4, "depth": 1, **model}
    return check(tree, "tiny")


def test_the_work_of_a_step_is_that_of_its_convolutions() -> None:
    cost = step_cost(config([8, 8, 8], batch_size=1), FLOAT32)

    # multiply-adds a voxel of each convolution, 27 in * out, on 8³ and 4³ voxels; the transposed
    # one has 8 in * out on 4³ voxels, the last one 4
    forward = 8**3 * 27 * (1 * 4 + 4 * 4 + 8 * 4 + 4 * 4) + 4**3 * 27 * (4 * 8 + 8 * 8)
    forward += 4**3 * 8 * 8 * 4 + 8**3 * 4
    first = 8**3 * 27 * 1 * 4  # whose input, the image, needs no gradient
    assert cost.flops == 2 * (3 * forward - first)


def test_parameters_are_counted() -> None:
    network = config([8, 8, 8]).model.build()

    expected = sum(parameter.numel() for parameter in network.parameters())
    assert step_cost(config([8, 8, 8]), FLOAT32).num_parameters == expected


def test_the_memory_of_a_step_grows_with_its_voxels() -> None:
    small = step_cost(config([16, 16, 16]), FLOAT32).peak_bytes
    large = step_cost(config([32, 32, 32]), FLOAT32).peak_bytes
    double = step_cost(config([32, 32, 32], batch_size=4), FLOAT32).peak_bytes

    assert large / small == pytest.approx(8.0, rel=0.05)
    assert double / large == pytest.approx(2.0, rel=0.05)


def test_half_precision_takes_less_memory_than_float32() -> None:
    bfloat16, float32 = (
        step_cost(config([32, 32, 32]), machine).peak_bytes for machine in (BFLOAT16, FLOAT32)
    )

    assert 0.5 < bfloat16 / float32 < 0.8


def test_the_tensors_that_are_alive_are_those_of_a_real_step() -> None:
    settings = config([32, 32, 32])
    step, batch = build_step(settings, FLOAT32), empty_batch(settings, FLOAT32.device)
    batch.image.normal_()
    with torch.profiler.profile(profile_memory=True) as profile:
        step(batch, weights_at(settings.phases, 0, settings.terms))
    sizes = [
        event.nbytes() for event in profile.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]  # fmt: skip
    current = peak = 0
    for size in sizes:
        current += size
        peak = max(peak, current)
    made_before = batch.image.nbytes + batch.label.nbytes
    made_before += sum(parameter.nbytes for parameter in step.parameters)

    # convolutions hold reordered copies for a moment, which no tensor of the program shows
    tensors = step_cost(settings, FLOAT32).peak_bytes
    assert 1.0 < (peak + made_before) / tensors < 1.5


def test_a_step_takes_time_and_changes_nothing_outside() -> None:
    torch.manual_seed(0)

    assert 0.0 < seconds_per_step(config([8, 8, 8]), FLOAT32) < 10.0

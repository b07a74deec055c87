from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.planning.surveys import survey
from vesuv.planning.memory import estimate_memory, memory_budget
from vesuv.planning.proposal import DataSource, Planner
from vesuv.planning.recognition import Recognition
from vesuv.planning.sizing import MIN_STEPS, Resources, Size
from vesuv.runtime.machine import Machine
from vesuv.training.run_length import STEP_SHARE

CPU = Machine(torch.device("cpu"), "float32", 0, 2, "worker")
CUDA = Machine(torch.device("cuda"), "bfloat16", 8, 8, "device")


def size(resources: Resources, **changes: Any) -> Size:
    source = DataSource("x", "x", Recognition({"layout": "kaggle"}, "r"), survey(**changes))
    return Planner(source, resources, "plain_unet").size()


def test_with_memory_and_time_the_patch_is_the_volume() -> None:
    largest = size(Resources(CPU, 10**12), shape=(70, 80, 96))

    # multiples of 8, the batch fills up what the volume leaves of the size above: 2 * 96³ / patch
    assert largest.shape.patch_size == (64, 80, 96)
    assert largest.batch_size == 4
    assert largest.limit == "the volumes are no larger"


def test_memory_limits_the_size_and_the_next_larger_does_not_fit() -> None:
    fitting = size(Resources(CPU, 2 * 10**9))

    assert fitting.memory.needed <= 2 * 10**9
    assert fitting.limit.startswith("the next larger size would take ")
    larger = float(fitting.limit.split()[-2])
    assert larger >= 2.0
    assert size(Resources(CPU, 4 * 10**9)).shape.voxels > fitting.shape.voxels


def test_time_limits_the_size_so_that_enough_steps_fit() -> None:
    resources = Resources(CPU, 10**12, minutes=30.0, flops_per_second=3e11)

    fitting = size(resources)

    steps = 30 * 60 * STEP_SHARE / (fitting.cost.flops / 3e11)
    assert steps >= MIN_STEPS
    assert "fewer than 1500 steps in 30 minutes" in fitting.limit
    # 32 filters on blocks of voxels, two levels down, as configs/fib25.yaml
    assert (fitting.shape.patch_size, fitting.filters) == ((96, 96, 96), 32)
    assert fitting.config.model.space_to_depth == (2, 2, 2)
    assert (fitting.config.model.depth, fitting.batch_size) == (2, 2)


def test_the_smallest_size_is_proposed_where_none_fits() -> None:
    smallest = size(Resources(CPU, 10**12, minutes=0.01, flops_per_second=1e9))

    assert smallest.shape.patch_size == (32, 32, 32)
    assert smallest.limit == "the smallest size that is proposed"


def test_a_gpu_of_24_gb_trains_large_patches_with_four_levels() -> None:
    fitting = size(Resources(CUDA, 24 * 10**9), shape=(320, 320, 320))

    assert fitting.shape.patch_size[0] >= 160
    assert fitting.shape.depth == 4
    assert fitting.memory.total <= 24 * 10**9


def test_memory_is_the_sum_of_its_parts() -> None:
    fitting = size(Resources(CPU, 2 * 10**9))
    memory = estimate_memory(fitting.config, fitting.cost, survey(), CPU)

    assert memory.data == 10 * 125**3 * 2  # ten cases, uint8 image and label
    assert memory.parameters == 12 * fitting.cost.num_parameters  # two moments and an average
    assert memory.total == memory.data + memory.needed
    no_average = fitting.config.model_copy(
        update={"averaging": fitting.config.averaging.model_copy(update={"ema": None})}
    )
    other = estimate_memory(no_average, fitting.cost, survey(), CPU)
    assert other.parameters == 8 * fitting.cost.num_parameters


def test_the_budget_is_what_the_user_allows_else_less_than_what_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vesuv.planning.memory.available_memory", lambda: 10e9)

    assert memory_budget(torch.device("cpu"), 3e9) == 3 * 10**9
    assert memory_budget(torch.device("cpu")) == 8 * 10**9


def test_blocks_of_voxels_follow_the_spacing() -> None:
    spacing = (3.0, 1.0, 1.0)
    fitting = size(
        replace(Resources(CPU, 10**12), minutes=30.0, flops_per_second=3e11),
        spacing=spacing,
        spacing_low=spacing,
        spacing_high=spacing,
    )

    model = fitting.config.model
    assert model.space_to_depth == fitting.shape.strides[0] == (1, 2, 2)
    assert fitting.shape.strides[1:] == ((2, 2, 2),) * model.depth
    assert model.strides is None, "as by default"
    assert fitting.shape.kernels[0] == (1, 3, 3)
    assert model.kernels is None  # a block of (1, 2, 2) voxels is as long along z as along y and x
    assert tuple(2**h for h in model.halvings) == tuple(
        math.prod(stride[axis] for stride in fitting.shape.strides) for axis in range(3)
    )


def test_anisotropic_voxels_give_strides_and_kernels() -> None:
    spacing = (6.5, 0.8, 0.8)
    fitting = size(
        replace(Resources(CPU, 10**12), minutes=30.0, flops_per_second=3e11),
        shape=(25, 256, 256),
        spacing=spacing,
        spacing_low=spacing,
        spacing_high=spacing,
    )

    assert fitting.config.model.halvings[0] < fitting.config.model.halvings[1]
    assert fitting.config.model.kernels[0] == (1, 3, 3)

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.planning.surveys import survey
from vesuv.config import Config, load_config
from vesuv.errors import InputError
from vesuv.models import build_model
from vesuv.planning import residual_sizing, sizing
from vesuv.planning.cost import StepCost
from vesuv.planning.proposal import DataSource, Planner, Proposal
from vesuv.planning.recognition import Recognition
from vesuv.planning.residual_sizing import RESIDUAL_STEPS, NetworkName
from vesuv.planning.sizing import MIN_STEPS, Resources
from vesuv.planning.text import proposal_text
from vesuv.runtime.machine import Machine
from vesuv.training.run_length import STEP_SHARE

CPU = Machine(torch.device("cpu"), "float32", 0, 2, "worker")
CUDA = Machine(torch.device("cuda"), "bfloat16", 8, 8, "device")
GB = 10**9
DAY = 24.0 * 60
LARGE = (320, 320, 320)


def cost_by_voxels(config: Config, _machine: Machine) -> StepCost:
    """3 kB and 2 million operations for each voxel of a batch; 100 million weights."""
    voxels = math.prod(config.sampling.patch_size) * config.sampling.batch_size
    return StepCost(3000 * voxels, 2_000_000 * voxels, 100_000_000)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residual_sizing, "step_cost", cost_by_voxels)
    monkeypatch.setattr(sizing, "step_cost", cost_by_voxels)


def planner(resources: Resources, network: NetworkName = "auto", **changes: Any) -> Planner:
    source = DataSource("x", "/x", Recognition({"layout": "kaggle"}, "r"), survey(**changes))
    return Planner(source, resources, network)


def proposed(
    resources: Resources, seconds: float, network: NetworkName = "auto", **changes: Any
) -> Proposal:
    one = planner(resources, network, **changes)
    return one.propose(one.size(), seconds)


@pytest.mark.parametrize(
    ("memory", "preset", "patch"),
    [(24, "M", 128), (80, "L", 192), (140, "XL", 224)],
)
def test_the_largest_preset_that_memory_allows_is_proposed(
    memory: int, preset: str, patch: int
) -> None:
    size = planner(Resources(CUDA, memory * GB), shape=LARGE, num_cases=50).size()

    # 2 * 192³ voxels of 3 kB: 42 GB, a quarter more for the libraries, and the moments: 54 GB
    assert size.config.model.name == "residual_encoder_unet"
    assert size.shape.patch_size == (patch,) * 3
    assert size.network.startswith(f"nnU-Net's residual encoder {preset}: memory and time are")
    assert size.memory.needed <= memory * GB
    assert size.config.model.deep_supervision


def test_long_runs_are_proposed_with_it_and_short_ones_with_the_plain_network() -> None:
    flops = 2 * 128**3 * 2_000_000
    speed = flops * RESIDUAL_STEPS / (60 * DAY * STEP_SHARE)  # M takes a day
    long, short = (
        planner(Resources(CUDA, 80 * GB, days * DAY, speed), shape=LARGE, num_cases=50).size()
        for days in (1.1, 0.9)
    )

    assert long.config.model.name == "residual_encoder_unet"
    assert long.limit == "the next larger budget would leave fewer than 25000 steps in 1584 minutes"
    assert short.config.model.name == "plain_unet"
    assert short.network == (
        "plain U-Net; nnU-Net's residual encoder M would leave fewer than 25000 steps in 1296 "
        "minutes"
    )


def test_too_little_memory_is_found_without_the_cost_of_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(residual_sizing, "step_cost")
    size = planner(Resources(CUDA, 4 * GB), shape=LARGE, num_cases=50).size()

    # 2 patches of 551,129,088 feature voxels, 5 bytes each
    assert size.network.endswith("residual encoder M would take more than 5.5 GB")


@pytest.mark.parametrize(("network", "name"), [("plain_unet", "plain_unet"), ("auto", None)])
def test_the_plain_network_is_proposed_where_it_is_asked_for(
    network: NetworkName, name: str | None
) -> None:
    size = planner(Resources(CUDA, 140 * GB), network, shape=LARGE, num_cases=50).size()

    assert size.config.model.name == (name or "residual_encoder_unet")


def test_a_residual_encoder_that_is_asked_for_fits_a_small_machine() -> None:
    size = planner(Resources(CPU, 4 * GB, 60.0, 1e12), "residual_encoder_unet").size()

    # 60 minutes at 1e12 operations a second leave 2.04e12 a step for 1500 of them; 4 voxels of an
    # edge remain at the bottom
    assert size.network == "nnU-Net's residual encoder for 1 GB, as --network asks for"
    assert size.shape.patch_size == (64, 64, 64)
    assert size.min_steps == MIN_STEPS
    assert size.memory.needed <= 4 * GB


def test_the_smallest_residual_encoder_is_proposed_where_none_fits() -> None:
    size = planner(Resources(CPU, 4 * GB, 0.01, 1e9), "residual_encoder_unet").size()

    assert size.network == "nnU-Net's residual encoder for 0.5 GB, as --network asks for"


def test_budgets_that_give_the_same_network_have_the_smallest_ones_name() -> None:
    size = planner(Resources(CUDA, 140 * GB), shape=(96, 96, 96), num_cases=6).size()

    assert size.batch_size == 6
    assert size.network.startswith("nnU-Net's residual encoder M")
    assert size.limit == "the volumes or nnU-Net's presets are no larger"


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 1.0, 1.0)])
def test_the_file_is_read_back_as_the_proposal(spacing: Any, tmp_path: Any) -> None:
    same = dict.fromkeys(("spacing", "spacing_low", "spacing_high"), spacing)
    resources = Resources(CUDA, 80 * GB, 100 * DAY, 1e15)
    proposal = proposed(resources, 0.5, shape=(60, 320, 320), num_cases=50, **same)
    file = tmp_path / "x.yaml"
    file.write_text(proposal_text(proposal, "vesuv train"))

    config = load_config(file)
    assert config == proposal.config
    assert config.model.name == "residual_encoder_unet"
    assert config.optimizer.name == "sgd"
    assert config.model.halvings[0] < config.model.halvings[1]
    assert max(map(len, file.read_text().splitlines())) <= 100
    text = " ".join(file.read_text().replace("#", "").split())
    assert "network: nnU-Net's residual encoder" in text
    assert "memory and time are enough for 25000 steps of it" in text


def test_a_short_run_of_a_residual_encoder_keeps_the_recipe_of_short_runs() -> None:
    resources = Resources(CPU, 4 * GB, 30.0, 1e12)

    assert proposed(resources, 1.0, "residual_encoder_unet").config.optimizer.name == "muon"


def test_images_of_one_slice_are_proposed_with_the_plain_network_unless_asked() -> None:
    resources, flat = Resources(CUDA, 140 * GB), {"shape": (1, 1000, 700), "num_cases": 50}

    assert planner(resources, **flat).size().network == (
        "plain U-Net; the presets of nnU-Net's residual encoder are for volumes, not for single "
        "slices"
    )
    asked = planner(resources, "residual_encoder_unet", **flat).size()
    assert asked.shape.patch_size[0] == 1
    assert {edge for edge, *_ in asked.config.model.kernel_sizes} == {1}


def test_without_the_extra_the_plain_network_is_proposed_and_the_extra_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(residual_sizing, "find_spec", lambda _: None)

    size = planner(Resources(CUDA, 140 * GB), shape=LARGE).size()

    assert size.config.model.name == "plain_unet"
    assert size.network.endswith("needs the extra: pip install 'vesuv[nnunet]'")


def test_asking_for_it_without_the_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vesuv.models.stages._ARCHITECTURES", "no.such.package")
    monkeypatch.setattr(residual_sizing, "step_cost", lambda config, _: build_model(config.model))
    with pytest.raises(InputError, match=r"install the extra: pip install 'vesuv\[nnunet\]'"):
        planner(Resources(CPU, GB), "residual_encoder_unet").size()

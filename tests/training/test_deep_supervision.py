"""Training with the loss of several scales."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import vesuv
from tests.conftest import tiny_tree
from tests.training.test_step import MACHINE
from tests.training.test_trainer import changed, same, untimed, weights
from vesuv.config import Config, check
from vesuv.config.loss import ALL_LOSSES
from vesuv.losses import Compound, build_losses
from vesuv.planning.cost import step_cost
from vesuv.training.optimizers import SGDConfig, build_optimizer
from vesuv.training.step import TrainingStep, label_objective
from vesuv.training.train import train
from vesuv.transforms.collate import Batch

UNET: dict[str, Any] = {"name": "plain_unet", "filters": 2, "depth": 3, "deep_supervision": True}
STAGES: dict[str, Any] = {
    "name": "residual_encoder_unet",
    "features_per_stage": [2, 2, 2, 2],
    "n_blocks_per_stage": [1, 1, 1, 1],
    "deep_supervision": True,
}


class TwoBiases(nn.Module):
    """Logits of two scales, each one number everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor) -> list[Tensor]:
        half = torch.nn.functional.max_pool3d(image, 2)
        return [0.0 * image + self.fine, 0.0 * half + self.coarse]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_loss_and_update_of_two_scales_by_hand(accumulate: int) -> None:
    """One of 64 voxels is foreground, so one of 8 is at half the resolution; probability is 1/2."""
    network = TwoBiases()
    sgd = SGDConfig(name="sgd", lr=1.0, momentum=0.0, nesterov=False, weight_decay=0.0)
    step = TrainingStep(
        network,
        list(network.parameters()),
        build_optimizer(network, sgd),
        label_objective(Compound(build_losses(ALL_LOSSES(), ("cross_entropy", "dice")))),
        MACHINE,
        gradient_clip=None,
        accumulate=accumulate,
    )
    label = torch.zeros(2, 4, 4, 4, dtype=torch.uint8)
    label[:, 1, 2, 3] = 1
    batch = Batch(torch.randn(2, 1, 4, 4, 4), label, ("a", "b"))

    result = step(batch, {"cross_entropy": 1.0})

    assert result.loss.item() == pytest.approx(math.log(2))
    assert result.components["cross_entropy"].item() == pytest.approx(math.log(2))
    assert result.finite_outputs.tolist() == [True, True]
    assert network.fine.item() == pytest.approx(-2 / 3 * (1 / 2 - 1 / 64))
    assert network.coarse.item() == pytest.approx(-1 / 3 * (1 / 2 - 1 / 8))
    # the second loss, at these two biases, weighs the scales 2 to 1
    expected = [
        math.log1p(math.exp(bias)) - positive * bias
        for bias, positive in ((network.fine.item(), 1 / 64), (network.coarse.item(), 1 / 8))
    ]
    again = step(batch, {"cross_entropy": 1.0})
    assert again.loss.item() == pytest.approx((2 * expected[0] + expected[1]) / 3)
    assert again.components["cross_entropy"].item() == pytest.approx(expected[0])


@pytest.mark.slow
@pytest.mark.parametrize("model", [UNET, STAGES], ids=lambda model: str(model["name"]))
def test_a_resumed_run_ends_with_the_same_weights_and_predicts(
    tiny_config: Config, tmp_path: Path, model: dict[str, Any]
) -> None:
    config = changed(
        tiny_config,
        model=model,
        train={"epochs": 2, "steps_per_epoch": 2},
        averaging={"ema": {"decay": 0.9}},
        scheduler={"name": "plateau", "warmup_epochs": 0},
        validation={"tiles": 1},
    )
    whole = train(config, output=tmp_path / "whole").folder

    train(changed(config, train={"epochs": 1}), output=tmp_path / "parts")
    parts = train(config, output=tmp_path / "parts", resume=True).folder

    for name in ("last", "ema", "best"):
        assert same(weights(whole, name), weights(parts, name)), name
    assert untimed(whole) == untimed(parts)
    probs = vesuv.load(whole.path).predict(np.zeros((16, 16, 16), np.uint8))
    assert probs.shape == (1, 16, 16, 16)


def test_the_cost_of_a_step_has_the_coarse_outputs() -> None:
    def flops(deep_supervision: bool) -> int:
        tree = tiny_tree(Path("data"), Path("store"))
        tree["model"] = UNET | {"deep_supervision": deep_supervision}
        return step_cost(check(tree, "tiny"), MACHINE).flops

    # two patches; forward, weights' gradient, features' gradient; four features to one logit
    assert flops(True) - flops(False) == 2 * 3 * 2 * 4 * 8**3

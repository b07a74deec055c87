import copy

import pytest
import torch
from torch import nn

from vesuv.config.loss import ALL_LOSSES
from vesuv.config.training import RuntimeConfig
from vesuv.losses import Compound, build_losses
from vesuv.runtime.machine import resolve
from vesuv.training.loader import Batch
from vesuv.training.optimizers import AdamWConfig, SGDConfig, build_optimizer, forget_moments
from vesuv.training.step import TrainingStep

MACHINE = resolve(RuntimeConfig(device="cpu", precision="float32"))
WEIGHTS = {"dice": 0.5, "cross_entropy": 0.5}


def batch(size: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(size, 1, 8, 8, 8, generator=generator)
    return Batch(image, (image[:, 0] > 0).to(torch.uint8), ("a",) * size)


def training_step(net: nn.Module, config=None, accumulate: int = 1, clip: float | None = None):
    compound = Compound(build_losses(ALL_LOSSES(), tuple(WEIGHTS)))
    optimizer = build_optimizer(net, config or AdamWConfig(lr=0.01))
    return TrainingStep(
        net,
        list(net.parameters()),
        optimizer,
        compound,
        MACHINE,
        gradient_clip=clip,
        accumulate=accumulate,
    )


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv3d(1, 1, 3, padding=1)


def test_steps_lower_the_loss() -> None:
    step = training_step(network())

    losses = [step(batch(), WEIGHTS).loss.item() for _ in range(60)]

    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    "config", [AdamWConfig(lr=0.1), SGDConfig(name="sgd", lr=0.1)], ids=lambda c: c.name
)
def test_a_non_finite_step_changes_nothing_and_is_counted(config) -> None:
    poisoned = batch()
    poisoned.image[0, 0, 0, 0, 0] = float("nan")
    net, twin = network(), network()
    step, clean = training_step(net, config), training_step(twin, config)
    before = copy.deepcopy(net.state_dict())

    result = step(poisoned, WEIGHTS)

    assert result.skipped.item() == 1
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert step(batch(), WEIGHTS).skipped.item() == 0
    clean(batch(), WEIGHTS)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))


def test_accumulated_voxel_losses_give_the_gradient_of_the_whole_batch() -> None:
    whole, parts = network(), network()
    only_entropy = {"cross_entropy": 1.0}

    first = training_step(whole)(batch(4), only_entropy)
    second = training_step(parts, accumulate=4)(batch(4), only_entropy)

    assert second.loss.item() == pytest.approx(first.loss.item(), rel=1e-6)
    assert torch.allclose(whole.weight.grad, parts.weight.grad, rtol=1e-5, atol=1e-8)


def test_the_gradient_is_clipped_and_its_norm_reported_before() -> None:
    net = network()

    result = training_step(net, clip=1e-3)(batch(), WEIGHTS)

    after = torch.sqrt(sum(p.grad.square().sum() for p in net.parameters()))
    assert result.gradient_norm.item() > 1e-3
    assert after.item() == pytest.approx(1e-3, rel=1e-3)


def test_forgotten_momentum_starts_like_a_fresh_optimiser() -> None:
    net, twin = network(), network()
    config = SGDConfig(name="sgd", lr=0.1, momentum=0.9)
    old = training_step(net, config)
    old(batch(), WEIGHTS)
    net.load_state_dict(twin.state_dict())

    forget_moments(old.optimizer)
    old(batch(), WEIGHTS)
    training_step(twin, config)(batch(), WEIGHTS)

    assert torch.equal(net.weight, twin.weight)

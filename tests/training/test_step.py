"""One step by hand: loss and gradient of the whole batch, also where it goes through in parts."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vesuv.config.loss import ALL_LOSSES, read_losses
from vesuv.config.training import OptimizerConfig, RuntimeConfig
from vesuv.data.labels import IGNORE
from vesuv.losses import MASK_LOSSES, Compound, build_losses
from vesuv.runtime.machine import resolve
from vesuv.training.optimizers import (
    AdamWConfig,
    MuonConfig,
    SGDConfig,
    build_optimizer,
    reset_moments,
)
from vesuv.training.step import TrainingStep, label_objective
from vesuv.transforms.collate import Batch

MACHINE = resolve(RuntimeConfig(device="cpu", precision="float32"))
WEIGHTS = {"dice": 0.5, "cross_entropy": 0.5}
COMPOUND = Compound(build_losses(ALL_LOSSES(), tuple(WEIGHTS)))
ADAMW = AdamWConfig(lr=0.01)


def batch(size: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(size, 1, 8, 8, 8, generator=generator)
    return Batch(image, (image[:, 0] > 0).to(torch.uint8), ("a",) * size)


def training_step(
    net: nn.Module,
    config: OptimizerConfig = ADAMW,
    compound: Compound = COMPOUND,
    *,
    accumulate: int = 1,
    clip: float | None = None,
) -> TrainingStep:
    return TrainingStep(
        net,
        list(net.parameters()),
        build_optimizer(net, config),
        label_objective(compound),
        MACHINE,
        gradient_clip=clip,
        accumulate=accumulate,
    )


def network() -> nn.Conv3d:
    torch.manual_seed(0)
    return nn.Conv3d(1, 1, 3, padding=1)


def test_steps_lower_the_loss() -> None:
    step = training_step(network())

    losses = [step(batch(), WEIGHTS).loss.item() for _ in range(60)]

    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    "config",
    [AdamWConfig(lr=0.1), SGDConfig(name="sgd", lr=0.1), MuonConfig(lr=0.1, weight_decay=0.1)],
    ids=lambda c: c.name,
)
def test_a_non_finite_step_changes_nothing_and_is_counted(
    config: OptimizerConfig, accumulate: int
) -> None:
    poisoned = batch()
    poisoned.image[0, 0, 0, 0, 0] = float("nan")
    net, twin = network(), network()
    step = training_step(net, config, accumulate=accumulate)
    clean = training_step(twin, config, accumulate=accumulate)
    before = copy.deepcopy(net.state_dict())

    result = step(poisoned, WEIGHTS)

    assert result.skipped.item() == 1
    assert result.finite_inputs.tolist() == result.finite_outputs.tolist() == [False, True]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert step(batch(), WEIGHTS).skipped.item() == 0
    clean(batch(), WEIGHTS)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters(), strict=True))


FORMS: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
    **{name: ((name,), {}) for name in MASK_LOSSES},
    "dice of each patch": (("dice",), {"dice": {"batch": False}}),
    "dice without smoothing": (("dice",), {"dice": {"smooth": 0.0}}),
    "weighted classes": (("cross_entropy",), {"cross_entropy": {"class_weights": (0.5, 2.0)}}),
    "ccc": (("variance",), {"variance": {"form": "ccc"}}),
    "original": (("variance",), {"variance": {"form": "original"}}),
    "band": (("boundary",), {"boundary": {"form": "band"}}),
    "mix": (tuple(MASK_LOSSES), {}),
}
"""Terms and section `loss` of every loss and form, and of all losses together."""


def layers(outputs: int) -> nn.Sequential:
    """A network without norms, whose backward would cancel most of a gradient."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 3, 3, padding=1), nn.LeakyReLU(), nn.Conv3d(3, outputs, 1))


def uneven(size: int, outputs: int) -> Batch:
    """Patches of which the first has no ignored voxel and each one more than the one before."""
    generator = torch.Generator().manual_seed(2)
    signal = torch.randn(size, 12, 12, 12, generator=generator)
    shown = signal + torch.randn(size, 12, 12, 12, generator=generator)
    label = (shown > 0.8).to(torch.uint8)
    if outputs == 3:
        label[shown < -1] = 2
    for number in range(size):
        label[number, : 3 * number] = IGNORE
    return Batch(4 * signal[:, None], label, tuple("abcd"[:size]))


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(("size", "parts"), [(4, 2), (4, 4), (3, 2)])
@pytest.mark.parametrize(
    ("form", "outputs"), [*((form, 1) for form in FORMS), ("mix", 3), ("cldice", 3)]
)
def test_a_batch_in_parts_has_the_loss_and_the_gradient_of_the_whole_batch(
    form: str, outputs: int, size: int, parts: int
) -> None:
    terms, section = FORMS[form]
    weights = {name: 0.3 + 0.1 * number for number, name in enumerate(terms)}
    compound = Compound(build_losses(read_losses(section), terms))
    made, whole = uneven(size, outputs), layers(outputs)
    loss, _ = compound(whole(made.image), made.label, made.label != IGNORE, weights)
    loss.backward()

    in_parts = layers(outputs)
    result = training_step(in_parts, compound=compound, accumulate=parts)(made, weights)

    assert result.loss.item() == pytest.approx(loss.item(), rel=1e-5)
    total = sum(weights[name] * float(value) for name, value in result.components.items())
    assert total == pytest.approx(loss.item(), rel=1e-5)
    assert result.finite_outputs.tolist() == [True] * size
    for found, expected in zip(in_parts.parameters(), whole.parameters(), strict=True):
        assert expected.grad.norm() > 0
        assert relative(found.grad, expected.grad) < 1e-5


class Dropping(nn.Module):
    """Drops voxels, and remembers which ones at each call and whether a graph was kept.

    Its backward draws a number too, as that of a network with stochastic rounding would.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv3d(1, 1, 3, padding=1)
        self.kept: list[Tensor] = []
        self.with_graph: list[bool] = []

    def forward(self, image: Tensor) -> Tensor:
        self.kept.append(nn.functional.dropout(torch.ones_like(image), 0.5))
        self.with_graph.append(torch.is_grad_enabled())
        logits: Tensor = self.layer(image * self.kept[-1])
        if logits.requires_grad:
            logits.register_hook(lambda gradient: gradient + 0 * torch.rand(1))
        return logits


def test_dropout_draws_the_same_in_both_passes_and_goes_on_as_after_the_first() -> None:
    made, net, twin = batch(3), Dropping(), Dropping()
    torch.manual_seed(5)
    logits = torch.cat([twin(part) for part in made.image.chunk(2)])
    after = torch.get_rng_state()
    loss, _ = COMPOUND(logits, made.label, made.label != IGNORE, WEIGHTS)
    loss.backward()

    torch.manual_seed(5)
    others = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - must not move
    result = training_step(net, accumulate=2)(made, WEIGHTS)

    assert torch.equal(torch.get_rng_state(), after)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == others  # noqa: NPY002
    assert net.with_graph == [False, False, True, True]
    for first, second, expected in zip(net.kept[:2], net.kept[2:], twin.kept, strict=True):
        assert torch.equal(first, second)
        assert torch.equal(first, expected)
    assert not torch.equal(net.kept[0][:1], net.kept[1])
    assert result.loss.item() == pytest.approx(loss.item(), rel=1e-6)
    assert relative(net.layer.weight.grad, twin.layer.weight.grad) < 1e-5


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

    reset_moments(old.optimizer)
    old(batch(), WEIGHTS)
    training_step(twin, config)(batch(), WEIGHTS)

    assert torch.equal(net.weight, twin.weight)

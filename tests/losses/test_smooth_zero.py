"""Quotients without smoothing, where saturated logits leave denominators of 1e-40 and the like."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vesuv.losses import ClDice, Dice, Loss, Tversky
from vesuv.losses.prediction import ratio

LOSSES = [
    Dice(smooth=0.0, batch=True),
    Dice(smooth=0.0, batch=False),
    ClDice(smooth=0.0, iterations=1, erosion="cube"),
    ClDice(smooth=0.0, iterations=1, erosion="cross"),
    Tversky(smooth=0.0, batch=True),
    Tversky(smooth=0.0, batch=False),
]


def saturated(classes: Tensor, outputs: int) -> Tensor:
    """Return logits of +50 on the predicted class and -50 on the others."""
    if outputs == 1:
        return (100.0 * (classes > 0) - 50.0)[:, None]
    chosen = [classes == index for index in range(outputs)]
    return torch.stack([100.0 * one - 50.0 for one in chosen], dim=1)


def sheet(z: int) -> Tensor:
    label = torch.zeros((2, 7, 7, 7), dtype=torch.uint8)
    label[:, z] = 1
    return label


NOTHING, EVERYTHING = sheet(0) * 0, sheet(0) * 0 + 1


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_saturated_logits_give_a_loss_in_its_limits_and_a_finite_gradient(
    loss: Loss, outputs: int
) -> None:
    for predicted in (NOTHING, sheet(3), sheet(5), EVERYTHING):
        for label in (NOTHING, sheet(3), EVERYTHING):
            for valid in (torch.ones_like(label) > 0, sheet(0) == 0, sheet(0) > 1):
                logits = saturated(predicted, outputs).requires_grad_()

                value = loss(logits, label, valid)
                value.backward()

                assert 0.0 <= value.item() <= 1.0
                assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_saturated_logits_score_right_and_wrong_masks(loss: Loss, outputs: int) -> None:
    valid = torch.ones_like(NOTHING) > 0

    assert loss(saturated(sheet(3), outputs), sheet(3), valid).item() == pytest.approx(0.0)
    assert loss(saturated(sheet(5), outputs), sheet(3), valid).item() == pytest.approx(1.0)
    assert loss(saturated(NOTHING, outputs), sheet(3), valid).item() == pytest.approx(1.0)


@pytest.mark.parametrize("denominator", [0.0, 1e-40, 1e-20])
def test_a_quotient_by_nothing_is_the_value_for_it_without_a_gradient(denominator: float) -> None:
    parts = torch.tensor([denominator, denominator], requires_grad=True)

    value = ratio(parts[0], parts[1], empty=0.25)
    value.backward()

    assert value.item() == 0.25
    assert parts.grad.tolist() == [0.0, 0.0]


def test_a_small_quotient_is_a_quotient() -> None:
    parts = torch.tensor([1e-18, 2e-18], requires_grad=True)

    value = ratio(parts[0], parts[1], empty=0.25)
    value.backward()

    assert value.item() == pytest.approx(0.5)
    assert parts.grad.tolist() == pytest.approx([5e17, -2.5e17])

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vesuv.losses.variance import Variance

PROBS = (0.8, 0.4, 0.1, 0.3)
TARGET = (1, 1, 0, 0)


def score(form: str, probs: tuple[float, ...], target: tuple[int, ...], patches: int = 1) -> float:
    logits = torch.tensor(probs, dtype=torch.float64).logit().view(patches, 1, 1, 1, -1)
    label = torch.tensor(target).view(patches, 1, 1, -1)
    return Variance(form=form)(logits, label, torch.ones_like(label, dtype=torch.bool)).item()


def test_separation_is_one_minus_the_gap_between_the_means() -> None:
    assert score("separation", PROBS, TARGET) == pytest.approx(1 - (0.6 - 0.2))


def test_separation_is_the_slope_of_a_regression_on_the_label() -> None:
    probs, target = (0.8, 0.4, 0.1, 0.3, 0.6), (1, 1, 0, 0, 0)

    slope = np.polyfit(target, probs, 1)[0]

    assert score("separation", probs, target) == pytest.approx(1 - slope)


def test_ccc_by_hand() -> None:
    p, y = np.array(PROBS), np.array(TARGET)
    covariance = np.cov(p, y, bias=True)[0, 1]
    expected = 1 - 2 * covariance / (p.var() + y.var() + (p.mean() - y.mean()) ** 2)

    assert score("ccc", PROBS, TARGET) == pytest.approx(expected)


@pytest.mark.parametrize("form", ["separation", "ccc"])
def test_a_constant_prediction_scores_one(form: str) -> None:
    assert score(form, (0.3,) * 4, TARGET) == pytest.approx(1.0)


@pytest.mark.parametrize("form", ["separation", "ccc"])
def test_patches_of_one_class_are_left_out_of_the_mean(form: str) -> None:
    alone = score(form, PROBS, TARGET)
    beside_empty = score(form, PROBS + (0.9,) * 4, TARGET + (0,) * 4, patches=2)
    beside_full = score(form, PROBS + (0.9,) * 4, TARGET + (1,) * 4, patches=2)

    assert beside_empty == pytest.approx(alone)
    assert beside_full == pytest.approx(alone)


def test_the_gradient_of_separation_is_alive_at_collapse_and_that_of_original_is_not() -> None:
    label = torch.tensor(TARGET).view(1, 1, 1, 4)
    valid = torch.ones_like(label, dtype=torch.bool)

    def slope(form: str) -> Tensor:
        logits = torch.zeros(1, 1, 1, 1, 4, requires_grad=True)
        Variance(form=form)(logits, label, valid).backward()
        assert logits.grad is not None
        return logits.grad.flatten()

    assert slope("separation").tolist() == pytest.approx([-0.125, -0.125, 0.125, 0.125])
    assert slope("original").abs().max() < 1e-6


@pytest.mark.parametrize(
    ("probs", "expected"),
    [
        ((0.5,) * 4, 1.0),
        ((1.0, 1.0, 0.0, 0.0), 0.75**2 + 0.5),
        ((1.0, 0.0, 0.0, 0.0), (1 - 3 / 16) ** 2 + 0.5),
        ((0.0,) * 4, 1.5),
    ],
)
def test_original_by_hand(probs: tuple[float, ...], expected: float) -> None:
    assert score("original", probs, TARGET) == pytest.approx(expected, abs=1e-4)


def test_the_floor_of_original_is_0_828() -> None:
    shares = np.linspace(0.001, 0.999, 999)
    lowest = min(score("original", (p, 1 - p) * 2, TARGET) for p in shares.tolist())

    assert lowest == pytest.approx(0.828, abs=1e-3)


def test_original_takes_its_entropy_in_nats() -> None:
    p = 0.1
    entropy = -(p * math.log(p) + (1 - p) * math.log(1 - p))

    assert score("original", (p,) * 4, TARGET) == pytest.approx(1 + 0.5 - entropy)

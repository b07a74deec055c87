import math

import pytest
import torch

from vesuv.losses.focal import Focal

LABEL = torch.tensor([1, 0, 0, 1]).view(1, 1, 1, 4)
VALID = torch.tensor([True, True, True, False]).view(1, 1, 1, 4)


def test_binary_focal_by_hand() -> None:
    logits = torch.tensor([0.9, 0.4, 0.2, 0.5]).logit().view(1, 1, 1, 1, 4)

    loss = Focal(gamma=2.0, alpha=0.75, class_weights=(2.94, 1.52))(logits, LABEL, VALID)

    foreground = 0.75 * 1.52 * 0.1**2 * -math.log(0.9)
    background = 0.25 * 2.94 * (0.4**2 * -math.log(0.6) + 0.2**2 * -math.log(0.8))
    assert loss.item() == pytest.approx((foreground + background) / 3, rel=1e-5)


def test_softmax_focal_by_hand() -> None:
    logits = torch.tensor([[0.5, 0.2], [0.25, 0.2], [0.25, 0.6]]).log().view(1, 3, 1, 1, 2)
    label = torch.tensor([0, 2]).view(1, 1, 1, 2)
    valid = torch.ones_like(label, dtype=torch.bool)

    loss = Focal(gamma=3.0, alpha=0.4, class_weights=None)(logits, label, valid)

    by_hand = (0.6 * 0.5**3 * -math.log(0.5) + 0.4 * 0.4**3 * -math.log(0.6)) / 2
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)


def test_one_logit_and_two_softmax_logits_agree() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 1, 1, 1, 4)
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    loss = Focal(gamma=1.5, alpha=0.3, class_weights=None)

    assert loss(logits, LABEL, VALID).item() == pytest.approx(loss(both, LABEL, VALID).item())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("num_logits", [1, 2])
def test_a_certain_voxel_has_a_finite_gradient_at_small_gamma(
    gamma: float, num_logits: int
) -> None:
    logits = torch.zeros(1, num_logits, 1, 1, 4)
    logits[:, -1] = torch.tensor([500.0, -500.0, 500.0, 0.0])
    logits.requires_grad_()

    Focal(gamma=gamma, alpha=0.5, class_weights=None)(logits, LABEL, VALID).backward()

    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_a_constant_one_half_scores_as_documented() -> None:
    loss = Focal(gamma=2.0, alpha=0.75, class_weights=None)(
        torch.zeros(1, 1, 1, 1, 4), LABEL, VALID
    )

    share = 1 / 3
    expected = (0.75 * share + 0.25 * (1 - share)) * 0.25 * math.log(2)
    assert loss.item() == pytest.approx(expected)

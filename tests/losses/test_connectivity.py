import pytest
import torch

from vesuv.losses.connectivity import Connectivity


def test_connectivity_by_hand() -> None:
    label = torch.tensor([1, 0, 0, 0, 0]).view(1, 1, 1, 5)
    logits = torch.tensor([0.6, 0.1, 0.1, 0.3, 0.2], dtype=torch.float64).logit()

    loss = Connectivity(kernel_size=3)(
        logits.view(1, 1, 1, 1, 5), label, torch.ones_like(label, dtype=torch.bool)
    )

    near_p, near_y = [0.6, 0.6, 0.3, 0.3, 0.3], [1, 1, 0, 0, 0]
    expected = sum((p - y) ** 2 for p, y in zip(near_p, near_y, strict=True)) / 5
    assert loss.item() == pytest.approx(expected)


def test_a_wider_window_reaches_further() -> None:
    label = torch.tensor([1, 0, 0, 0, 0]).view(1, 1, 1, 5)
    logits = torch.full((1, 1, 1, 1, 5), -100.0)

    loss = Connectivity(kernel_size=5)(logits, label, torch.ones_like(label, dtype=torch.bool))

    assert loss.item() == pytest.approx(3 / 5)


def test_a_constant_prediction_scores_as_documented() -> None:
    label = torch.tensor([1, 0, 0, 0, 0]).view(1, 1, 1, 5)
    logits = torch.full((1, 1, 1, 1, 5), 0.3, dtype=torch.float64).logit()

    loss = Connectivity(kernel_size=3)(logits, label, torch.ones_like(label, dtype=torch.bool))

    near = 2 / 5
    assert loss.item() == pytest.approx(near * 0.7**2 + (1 - near) * 0.3**2)

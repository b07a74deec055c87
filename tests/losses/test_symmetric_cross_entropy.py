import math

import pytest
import torch

from vesuv.losses.symmetric_cross_entropy import SymmetricCrossEntropy

LABEL = torch.tensor([1, 0, 0, 1]).view(1, 1, 1, 4)
VALID = torch.tensor([True, True, True, False]).view(1, 1, 1, 4)


def test_one_logit_by_hand() -> None:
    logits = torch.tensor([0.9, 0.4, 0.2, 0.5], dtype=torch.float64).logit()

    loss = SymmetricCrossEntropy(alpha=2.0, beta=3.0)(logits.view(1, 1, 1, 1, 4), LABEL, VALID)

    cross_entropy = -(math.log(0.9) + math.log(0.6) + math.log(0.8)) / 3
    reverse = 4 * (0.1 + 0.4 + 0.2) / 3
    assert loss.item() == pytest.approx(2 * cross_entropy + 3 * reverse)


def test_several_classes_equal_the_papers_spelling() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 2, 3, 4, generator=generator, dtype=torch.float64)
    label = torch.randint(0, 3, (2, 2, 3, 4), generator=generator)

    loss = SymmetricCrossEntropy(alpha=0.1, beta=1.0)(logits, label, torch.ones_like(label))

    p = torch.softmax(logits, dim=1)
    y = torch.nn.functional.one_hot(label, 3).movedim(-1, 1).double()
    log_y = torch.where(y > 0, 0.0, -4.0)
    expected = -(0.1 * y * p.log() + p * log_y).sum(dim=1).mean()
    assert loss.item() == pytest.approx(expected.item())


def test_a_constant_one_half_scores_as_documented() -> None:
    loss = SymmetricCrossEntropy(alpha=0.5, beta=0.25)(torch.zeros(1, 1, 1, 1, 4), LABEL, VALID)

    assert loss.item() == pytest.approx(0.5 * math.log(2) + 2 * 0.25)


def test_a_wrong_label_adds_at_most_four_to_the_reverse_part() -> None:
    logits = torch.full((1, 1, 1, 1, 4), -30.0, requires_grad=True)
    only_reverse = SymmetricCrossEntropy(alpha=1e-9, beta=1.0)

    loss = only_reverse(logits, torch.ones_like(LABEL), VALID)
    loss.backward()

    assert loss.item() == pytest.approx(4.0, abs=1e-5)
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-8

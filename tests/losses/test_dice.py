import math

import pytest
import torch
from torch import Tensor

from vesuv.losses.dice import Dice


def logit(*probs: float) -> Tensor:
    return torch.tensor(probs, dtype=torch.float64).logit()


def rows(values: Tensor, patches: int = 1) -> Tensor:
    """Voxels of each patch in a row: (b, 1, 1, n)."""
    return values.view(patches, 1, 1, -1)


def test_dice_by_hand() -> None:
    logits = rows(logit(0.8, 0.4, 0.1, 0.3)).unsqueeze(1)
    label = rows(torch.tensor([1, 1, 0, 0]))

    loss = Dice(smooth=0.5, batch=True)(logits, label, torch.ones_like(label, dtype=torch.bool))

    assert loss.item() == pytest.approx(1 - (2 * 1.2 + 0.5) / (1.6 + 2 + 0.5))


def test_batch_dice_sums_before_dividing_and_patch_dice_after() -> None:
    logits = rows(logit(0.8, 0.4, 0.1, 0.3), patches=2).unsqueeze(1)
    label = rows(torch.tensor([1, 1, 0, 1]), patches=2)
    valid = torch.ones_like(label, dtype=torch.bool)

    together = Dice(smooth=0.0, batch=True)(logits, label, valid)
    apart = Dice(smooth=0.0, batch=False)(logits, label, valid)

    assert together.item() == pytest.approx(1 - 2 * 1.5 / (1.6 + 3))
    assert apart.item() == pytest.approx(1 - (2 * 1.2 / 3.2 + 2 * 0.3 / 1.4) / 2)


def test_a_patch_that_is_all_ignored_does_not_dilute_patch_dice() -> None:
    logits = rows(logit(0.8, 0.4, 0.1, 0.3), patches=2).unsqueeze(1)
    label = rows(torch.tensor([1, 1, 0, 1]), patches=2)
    valid = rows(torch.tensor([True, True, False, False]), patches=2)

    loss = Dice(smooth=1e-5, batch=False)(logits, label, valid)

    assert loss.item() == pytest.approx(1 - 2 * 1.2 / 3.2, abs=1e-5)


def test_softmax_dice_is_the_mean_over_foreground_classes() -> None:
    probs = torch.tensor([[0.5, 0.2, 0.1], [0.3, 0.6, 0.2], [0.2, 0.2, 0.7]], dtype=torch.float64)
    logits = probs.log().view(1, 3, 1, 1, 3)
    label = rows(torch.tensor([0, 1, 2]))

    loss = Dice(smooth=0.0, batch=True)(logits, label, torch.ones_like(label, dtype=torch.bool))

    first, second = 2 * 0.6 / (1.1 + 1), 2 * 0.7 / (1.1 + 1)
    assert loss.item() == pytest.approx(1 - (first + second) / 2)


def test_a_constant_prediction_scores_as_documented() -> None:
    label = rows(torch.tensor([1, 0, 0, 0]))
    logits = torch.full((1, 1, 1, 1, 4), math.log(0.2 / 0.8), dtype=torch.float64)

    loss = Dice(smooth=0.0, batch=True)(logits, label, torch.ones_like(label, dtype=torch.bool))

    assert loss.item() == pytest.approx(1 - 2 * 0.2 * 0.25 / 0.45)

import pytest
import torch
from monai.losses.cldice import SoftclDiceLoss

from vesuv.losses.cldice import ClDice


def test_it_equals_monais_with_erosion_by_the_cross() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, 1, 9, 10, 11, generator=generator, dtype=torch.float64)
    label = torch.rand(1, 9, 10, 11, generator=generator) < 0.4

    ours = ClDice(iterations=3, erosion="cross", smooth=1.0)(logits, label, torch.ones_like(label))
    monais = SoftclDiceLoss(iter_=3, smooth_nr=1.0, smooth_dr=1.0, smooth=1e-12)(
        input=torch.sigmoid(logits), target=label.unsqueeze(1).double()
    )

    assert ours.item() == pytest.approx(monais.item())


def test_half_a_sheet_by_hand() -> None:
    label = torch.zeros(1, 5, 4, 8, dtype=torch.long)
    label[:, 2] = 1
    predicted = label.clone()
    predicted[..., 4:] = 0
    logits = (predicted.unsqueeze(1).double() - 0.5) * 200

    loss = ClDice(iterations=1, erosion="cube", smooth=0.0)(
        logits, label, torch.ones_like(label, dtype=torch.bool)
    )

    precision, sensitivity = 1.0, 0.5
    assert loss.item() == pytest.approx(1 - 2 * precision * sensitivity / 1.5)


def test_voxels_near_an_ignored_one_do_not_count() -> None:
    label = torch.zeros(1, 5, 5, 12, dtype=torch.long)
    label[:, 2] = 1
    valid = torch.ones_like(label, dtype=torch.bool)
    valid[..., 8:] = False
    wrong = (label.unsqueeze(1).double() - 0.5) * 200
    wrong[..., 5:] *= -1

    loss = ClDice(iterations=1, erosion="cube", smooth=0.0)(wrong, label, valid)

    # Ignored from 8 on; 5 to 7 lie within iterations + 2 of it, so only 0 to 4 count.
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_the_edge_of_the_valid_region_is_no_skeleton() -> None:
    label = torch.zeros(1, 5, 5, 20, dtype=torch.long)
    label[..., 6:] = 1
    valid = torch.ones_like(label, dtype=torch.bool)
    missed = torch.full((1, 1, 5, 5, 20), -100.0, dtype=torch.float64)

    losses = []
    for end in (20, 10):
        valid[..., end:] = False
        losses.append(ClDice(iterations=1, erosion="cube", smooth=0.0)(missed, label, valid).item())

    # The solid has no skeleton; its four valid columns 6 to 9 alone would have 7 and 8.
    assert losses == [0.0, 0.0]


def test_a_constant_prediction_scores_as_documented() -> None:
    label = torch.zeros(1, 5, 9, 9, dtype=torch.long)
    label[:, 2] = 1
    logits = torch.full((1, 1, 5, 9, 9), 0.25, dtype=torch.float64).logit()

    loss = ClDice(iterations=2, erosion="cube", smooth=1e-9)(
        logits, label, torch.ones_like(label, dtype=torch.bool)
    )

    assert loss.item() == pytest.approx(1 - 2 * 0.25 / 1.25)


def test_classes_are_averaged() -> None:
    label = torch.zeros(1, 5, 5, 5, dtype=torch.long)
    label[:, 0], label[:, 3] = 1, 2
    second_missed = label.masked_fill(label == 2, 0)
    predicted = torch.nn.functional.one_hot(second_missed, 3).movedim(-1, 1)
    logits = (predicted.double() - 0.5) * 200

    loss = ClDice(iterations=1, erosion="cube", smooth=0.0)(
        logits, label, torch.ones_like(label, dtype=torch.bool)
    )

    assert loss.item() == pytest.approx((0 + 1) / 2)

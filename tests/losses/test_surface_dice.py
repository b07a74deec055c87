import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vesuv.losses.surface_dice import SurfaceDice


def plane(z: int, columns: int = 12) -> Tensor:
    label = torch.zeros(1, 20, 12, 12, dtype=torch.long)
    label[:, z, :, :columns] = 1
    return label


def certain(mask: Tensor) -> Tensor:
    return (mask.unsqueeze(1).double() - 0.5) * 200


def all_valid(label: Tensor) -> Tensor:
    return torch.ones_like(label, dtype=torch.bool)


@pytest.mark.parametrize(("shift", "expected"), [(0, 0.0), (1, 0.0), (2, 0.0), (3, 1.0)])
def test_a_sheet_within_the_tolerance_is_right_and_one_beyond_it_is_wrong(
    shift: int, expected: float
) -> None:
    label = plane(8)

    loss = SurfaceDice(iterations=1, tolerance=2, smooth=0.0)(
        certain(plane(8 + shift)), label, all_valid(label)
    )

    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_half_a_sheet_by_hand() -> None:
    label = plane(8)

    loss = SurfaceDice(iterations=1, tolerance=2, smooth=0.0)(
        certain(plane(9, columns=6)), label, all_valid(label)
    )

    # All 6 predicted columns are near the label; 6 + 2 of its 12 columns are near the prediction.
    assert loss.item() == pytest.approx(1 - (6 + 8) / (6 + 12))


def test_it_equals_the_formula_spelled_with_torchs_pooling() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 1, 9, 10, 11, generator=generator, dtype=torch.float64)
    label = (torch.rand(2, 9, 10, 11, generator=generator) < 0.2).long()

    loss = SurfaceDice(iterations=2, tolerance=1, smooth=0.5)(logits, label, all_valid(label))

    def skeleton(x: Tensor) -> Tensor:
        def ridge(level: Tensor) -> Tensor:
            return F.relu(level - F.max_pool3d(-F.max_pool3d(-level, 3, 1, 1), 3, 1, 1))

        result = ridge(x)
        for _ in range(2):
            x = -F.max_pool3d(-x, 3, 1, 1)
            result = result + F.relu(ridge(x) - result * ridge(x))
        return result

    predicted, labelled = skeleton(torch.sigmoid(logits)), skeleton(label.unsqueeze(1).double())
    near = (predicted * F.max_pool3d(labelled, 3, 1, 1)).sum()
    near += (labelled * F.max_pool3d(predicted, 3, 1, 1)).sum()
    assert loss.item() == pytest.approx(
        (1 - (near + 0.5) / (predicted.sum() + labelled.sum() + 0.5)).item()
    )


def test_voxels_near_an_ignored_one_do_not_count() -> None:
    label = plane(8)
    valid = all_valid(label)
    valid[..., 10:] = False
    wrong = certain(label)
    wrong[..., 6:] *= -1

    loss = SurfaceDice(iterations=1, tolerance=1, smooth=0.0)(wrong, label, valid)

    # Ignored from 10 on; 6 to 9 lie within iterations + tolerance + 2 of it.
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_the_edge_of_the_valid_region_is_no_surface() -> None:
    label = torch.zeros(1, 5, 5, 20, dtype=torch.long)
    label[..., 6:] = 1
    valid = all_valid(label)
    valid[..., 10:] = False
    predicted = torch.zeros_like(label)
    predicted[..., [1, 6]] = 1

    loss = SurfaceDice(iterations=1, tolerance=1, smooth=0.0)(certain(predicted), label, valid)

    # The solid has no surface that 6 could be near; its valid columns 6 to 9 alone have 7 and 8.
    assert loss.item() == pytest.approx(1.0)


def test_a_constant_prediction_scores_one_without_a_gradient() -> None:
    label = plane(8)
    logits = torch.full((1, 1, 20, 12, 12), 0.3, requires_grad=True)

    loss = SurfaceDice(smooth=1e-6)(logits, label, all_valid(label))
    loss.backward()

    assert loss.item() == pytest.approx(1.0)
    assert logits.grad is not None
    assert not logits.grad.any()


def test_classes_are_averaged() -> None:
    label = plane(4) + 2 * plane(14)
    second_missed = label.masked_fill(label == 2, 0)
    predicted = F.one_hot(second_missed, 3).movedim(-1, 1)

    loss = SurfaceDice(iterations=1, tolerance=1, smooth=0.0)(
        (predicted.double() - 0.5) * 200, label, all_valid(label)
    )

    assert loss.item() == pytest.approx((0 + 1) / 2)

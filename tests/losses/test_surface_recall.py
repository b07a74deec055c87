import pytest
import torch

from vesuv.losses.surface_recall import SurfaceRecall


def sheet(thickness: int) -> torch.Tensor:
    label = torch.zeros(1, 16, 12, 12, dtype=torch.long)
    label[:, 4 : 4 + thickness] = 1
    return label


def test_recall_of_the_middle_three_of_five_layers_by_hand() -> None:
    label = sheet(5)
    probs = torch.full((1, 1, 16, 12, 12), 0.9, dtype=torch.float64)
    probs[:, :, 5], probs[:, :, 6], probs[:, :, 7] = 0.2, 0.4, 0.3

    loss = SurfaceRecall()(probs.logit(), label, torch.ones_like(label, dtype=torch.bool))

    assert loss.item() == pytest.approx(1 - (0.2 + 0.4 + 0.3) / 3)


def test_the_gradient_lies_on_the_dilated_medial_surface_alone() -> None:
    label = sheet(6)
    logits = torch.zeros(1, 1, 16, 12, 12, requires_grad=True)

    SurfaceRecall()(logits, label, torch.ones_like(label, dtype=torch.bool)).backward()

    assert logits.grad is not None
    assert (logits.grad[0, 0, 5:9] < 0).all()
    assert logits.grad.count_nonzero() == 4 * 12 * 12


def test_half_a_missed_sheet_costs_half_no_matter_how_thick_the_other_half_is() -> None:
    label = sheet(1)
    label[:, 2:7, :, 6:] = 1
    found = label.clone()
    found[..., :6] = 0
    logits = (found.unsqueeze(1).double() - 0.5) * 200

    loss = SurfaceRecall()(logits, label, torch.ones_like(label, dtype=torch.bool))

    # one layer of six columns is missed; the thick half counts with its middle three layers
    assert loss.item() == pytest.approx(6 / (6 + 3 * 6), abs=0.02)


def test_a_constant_prediction_scores_as_documented() -> None:
    label = sheet(3)
    logits = torch.full((1, 1, 16, 12, 12), 0.3, dtype=torch.float64).logit()

    loss = SurfaceRecall()(logits, label, torch.ones_like(label, dtype=torch.bool))

    assert loss.item() == pytest.approx(0.7)


def test_a_sheet_that_ignored_voxels_cut_counts_up_to_them() -> None:
    label = sheet(5)
    valid = torch.ones_like(label, dtype=torch.bool)
    valid[..., 7:] = False
    probs = torch.full((1, 1, 16, 12, 12), 0.9, dtype=torch.float64)
    probs[..., 6] = 0.2  # the last valid column

    loss = SurfaceRecall()(probs.logit(), label, valid)

    assert loss.item() == pytest.approx(1 - (6 * 0.9 + 0.2) / 7)


def test_classes_are_averaged_and_one_without_a_voxel_scores_zero() -> None:
    label = sheet(3)
    logits = torch.zeros(1, 3, 16, 12, 12, dtype=torch.float64)

    loss = SurfaceRecall()(logits, label, torch.ones_like(label, dtype=torch.bool))

    assert loss.item() == pytest.approx((2 / 3 + 0) / 2)

import pytest
import torch
from torch import Tensor

from vesuv.config.labels import LabelsConfig
from vesuv.config.loss import ALL_LOSSES
from vesuv.losses import Compound, build_losses, deep_supervision
from vesuv.losses.deep_supervision import downsample_label
from vesuv.losses.prediction import region_label

WEIGHTS = {"dice": 1.0, "cross_entropy": 0.5}


def compound_loss() -> Compound:
    return Compound(build_losses(ALL_LOSSES(), list(WEIGHTS)))


def logits_of_scales(outputs: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, outputs, edge, edge, edge, generator=generator).requires_grad_()
        for edge in (8, 4)
    ]


def label_and_valid() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    label = (torch.rand(2, 8, 8, 8, generator=generator) < 0.1).to(torch.uint8)
    return label, torch.rand(2, 8, 8, 8, generator=generator) < 0.8


def test_the_scales_weigh_two_thirds_and_one_third() -> None:
    compound, scales = compound_loss(), logits_of_scales()
    label, valid = label_and_valid()

    total, terms = deep_supervision(compound, scales, label, valid, WEIGHTS)
    total.backward()

    fine, fine_terms = compound(scales[0], label, valid, WEIGHTS)
    coarse, _ = compound(scales[1], *downsample_label(label, valid, (4, 4, 4)), WEIGHTS)
    assert total.item() == pytest.approx((2 * fine.item() + coarse.item()) / 3)
    assert terms == fine_terms
    assert all(logits.grad is not None and logits.grad.any() for logits in scales)


def test_one_scale_is_the_compound_loss() -> None:
    compound, (logits, *_) = compound_loss(), logits_of_scales()
    label, valid = label_and_valid()

    total, _ = deep_supervision(compound, [logits], label, valid, WEIGHTS)

    assert total.item() == pytest.approx(compound(logits, label, valid, WEIGHTS)[0].item())


def test_a_coarse_voxel_is_foreground_if_any_is_and_ignored_if_all_are() -> None:
    label = torch.tensor([0, 0, 0, 1, 0, 255, 1, 255, 255, 255, 2, 1]).view(1, 1, 1, 12)
    valid = label != 255

    coarse, coarse_valid = downsample_label(label, valid, (1, 1, 6))

    assert coarse_valid.flatten().tolist() == [True, True, True, True, False, True]
    assert coarse.flatten()[coarse_valid.flatten()].tolist() == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("position", range(8))
def test_a_sheet_of_one_voxel_survives_at_every_position(position: int) -> None:
    label = torch.zeros(1, 8, 8, 8, dtype=torch.uint8)
    label[:, position] = 1

    coarse, _ = downsample_label(label, label < 255, (2, 4, 8))

    assert coarse.shape == (1, 2, 4, 8)
    assert coarse.sum() == 4 * 8
    assert (coarse[:, position // 4] == 1).all()


def test_what_stands_on_ignored_voxels_changes_nothing() -> None:
    compound, scales = compound_loss(), logits_of_scales()
    label, valid = label_and_valid()

    total, _ = deep_supervision(compound, scales, label, valid, WEIGHTS)
    other, _ = deep_supervision(compound, scales, label.masked_fill(~valid, 1), valid, WEIGHTS)

    assert total == other


def test_overlapping_regions_are_downsampled_each() -> None:
    targets = LabelsConfig(
        classes={"air": 0, "front": 4, "back": 6},
        regions={"both": ("front", "back"), "front": ("front",)},
    ).targets
    compound = Compound(build_losses(ALL_LOSSES(), list(WEIGHTS)), targets)
    scales = logits_of_scales(outputs=2)
    label, valid = label_and_valid()
    label[:, 0, 0, :2] = torch.tensor([1, 2], dtype=torch.uint8)
    valid[:, 0, 0, :2] = True

    total, _ = deep_supervision(compound, scales, label, valid, WEIGHTS)

    regions = region_label(label, targets.members)
    coarse = downsample_label(regions, valid, (4, 4, 4))
    assert coarse[0][:, :, 0, 0, 0].all()  # the back beside it does not hide the front
    plain = compound_loss()
    expected = 2 * plain(scales[0], regions, valid, WEIGHTS)[0]
    expected = (expected + plain(scales[1], *coarse, WEIGHTS)[0]) / 3
    assert total.item() == pytest.approx(expected.item())

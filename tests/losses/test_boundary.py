import math

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from vesuv.losses.boundary import Boundary


def all_valid(label: Tensor) -> Tensor:
    return torch.ones_like(label, dtype=torch.bool)


def test_signed_distance_by_hand_on_a_row() -> None:
    label = torch.tensor([0, 0, 1, 1, 0]).view(1, 1, 1, 5)
    probs = torch.tensor([0.1, 0.2, 0.7, 0.6, 0.3], dtype=torch.float64)

    loss = Boundary(form="distance", radius=1)(
        probs.logit().view(1, 1, 1, 1, 5), label, all_valid(label)
    )

    phi = np.array([1.0, 0.5, -0.5, -0.5, 0.5])
    lowest = -1.0
    assert loss.item() == pytest.approx(((phi * probs.numpy()).sum() - lowest) / 5)


def test_it_equals_scipys_signed_distance_less_its_minimum() -> None:
    generator = torch.Generator().manual_seed(3)
    label = (torch.rand(2, 9, 10, 11, generator=generator) < 0.03).long()
    logits = torch.randn(2, 1, 9, 10, 11, generator=generator, dtype=torch.float64)

    loss = Boundary(form="distance", radius=3)(logits, label, all_valid(label))

    expected = 0.0
    for mask, p in zip(label.bool().numpy(), torch.sigmoid(logits)[:, 0].numpy(), strict=True):
        inside, outside = distance_transform_edt(mask), distance_transform_edt(~mask)
        phi = np.clip(np.where(mask, 0.5 - inside, outside - 0.5), -3, 3) / 3
        expected += (phi * p - np.minimum(phi, 0)).sum() / label.numel()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_missed_sheet_of_two_voxels_has_a_gradient_on_every_voxel() -> None:
    label = torch.zeros(1, 6, 4, 4, dtype=torch.long)
    label[:, 2:4] = 1
    logits = torch.full((1, 1, 6, 4, 4), -3.0, requires_grad=True)

    Boundary(form="distance", radius=5)(logits, label, all_valid(label)).backward()

    assert logits.grad is not None
    assert (logits.grad[:, 0, 2:4] < 0).all()


def test_an_empty_patch_asks_for_no_foreground_at_full_weight() -> None:
    label = torch.zeros(1, 2, 2, 2, dtype=torch.long)

    loss = Boundary(form="distance", radius=5)(torch.zeros(1, 1, 2, 2, 2), label, all_valid(label))

    assert loss.item() == pytest.approx(0.5)


def test_the_band_weighs_three_voxels_fully_and_nothing_from_five_on() -> None:
    label = torch.tensor([1] + [0] * 7).view(1, 1, 1, 8)

    loss = Boundary(form="band", radius=5)(torch.zeros(1, 1, 1, 1, 8), label, all_valid(label))

    weights = [1, 1, 1, 1, 0.5, 0, 0, 0]
    assert loss.item() == pytest.approx(math.log(2) * sum(weights) / 8, rel=1e-5)


def test_the_band_of_several_classes_lies_around_every_boundary() -> None:
    label = torch.tensor([1, 1, 1, 1, 1, 1, 2, 0, 0]).view(1, 1, 1, 9)

    loss = Boundary(form="band", radius=5)(torch.zeros(1, 3, 1, 1, 9), label, all_valid(label))

    weights = [0, 0, 0.5, 1, 1, 1, 1, 1, 1]
    assert loss.item() == pytest.approx(math.log(3) * sum(weights) / 9, rel=1e-5)


def test_several_classes_are_averaged() -> None:
    label = torch.tensor([0, 1, 2, 2]).view(1, 1, 1, 4)
    logits = torch.zeros(1, 3, 1, 1, 4)

    loss = Boundary(form="distance", radius=1)(logits, label, all_valid(label))

    first = [0.5 * 1 / 3, 0.5 * 2 / 3, 0.5 * 1 / 3, 1 / 3]
    second = [1 / 3, 0.5 * 1 / 3, 0.5 * 2 / 3, 2 / 3]
    assert loss.item() == pytest.approx((sum(first) + sum(second)) / 8, rel=1e-5)

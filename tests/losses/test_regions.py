"""Losses of overlapping regions: each region is a binary problem of its own."""

from __future__ import annotations

import pytest
import torch

from vesuv.config.labels import LabelsConfig
from vesuv.config.loss import ALL_LOSSES
from vesuv.losses import MASK_LOSSES, build_losses
from vesuv.losses.compound import Compound
from vesuv.losses.prediction import Prediction, region_label

TARGETS = LabelsConfig(
    classes={"air": 0, "front": 4, "back": 6},
    regions={"both": ("front", "back"), "back": ("back",)},
).targets
GENERATOR = torch.Generator().manual_seed(0)
LABEL = torch.randint(0, 3, (2, 6, 7, 8), generator=GENERATOR).to(torch.uint8)
VALID = torch.rand(2, 6, 7, 8, generator=GENERATOR) < 0.8
LOGITS = torch.randn(2, 2, 6, 7, 8, generator=GENERATOR)


def test_a_label_of_classes_tells_each_region() -> None:
    label = torch.tensor([[[[0, 1, 2, 255]]]])

    regions = region_label(label, TARGETS.members)

    assert regions[0, :, 0, 0].tolist() == [[False, True, True, False], [False, False, True, False]]


def test_probabilities_are_a_sigmoid_each_and_zero_where_ignored() -> None:
    prediction = Prediction(LOGITS, region_label(LABEL, TARGETS.members), VALID)

    expected = torch.sigmoid(LOGITS) * VALID[:, None]
    torch.testing.assert_close(prediction.probs, expected)
    assert prediction.num_targets == 2 and prediction.is_sigmoid
    assert torch.equal(prediction.target[:, 1], (LABEL == 2) & VALID)


@pytest.mark.parametrize("name", sorted(set(MASK_LOSSES) - {"boundary_band", "variance"}))
def test_a_loss_of_regions_is_the_mean_of_the_regions_alone(name: str) -> None:
    loss = MASK_LOSSES[name]()
    regions = region_label(LABEL, TARGETS.members)

    whole = loss(LOGITS, regions, VALID)

    alone = [loss(LOGITS[:, k : k + 1], regions[:, k], VALID) for k in range(2)]
    torch.testing.assert_close(whole, (alone[0] + alone[1]) / 2, rtol=1e-5, atol=1e-6)


def test_the_weight_of_a_class_is_that_inside_its_region() -> None:
    loss = MASK_LOSSES["cross_entropy"](class_weights=(1.0, 2.0, 5.0))
    regions = region_label(LABEL, TARGETS.members)

    whole = loss(LOGITS, regions, VALID)

    alone = [
        MASK_LOSSES["cross_entropy"](class_weights=(1.0, weight))(
            LOGITS[:, k : k + 1], regions[:, k], VALID
        )
        for k, weight in enumerate((2.0, 5.0))
    ]
    torch.testing.assert_close(whole, (alone[0] + alone[1]) / 2, rtol=1e-5, atol=1e-6)


def test_one_region_is_the_binary_problem() -> None:
    label = (LABEL > 0).to(torch.uint8)
    for name, kind in MASK_LOSSES.items():
        of_region = kind()(LOGITS[:, :1], (label == 1)[:, None], VALID)
        assert torch.equal(of_region, kind()(LOGITS[:, :1], label, VALID)), name


def test_the_compound_turns_classes_into_regions() -> None:
    compound = Compound(build_losses(ALL_LOSSES(), ["dice", "cross_entropy"]), TARGETS)
    logits = LOGITS.clone().requires_grad_()

    total, parts = compound(logits, LABEL, VALID, {"dice": 1.0, "cross_entropy": 2.0})
    total.backward()

    regions = region_label(LABEL, TARGETS.members)
    expected = {name: MASK_LOSSES[name]()(LOGITS, regions, VALID) for name in parts}
    assert {n: float(v) for n, v in parts.items()} == {n: float(v) for n, v in expected.items()}
    assert float(total.detach()) == pytest.approx(
        float(expected["dice"] + 2 * expected["cross_entropy"])
    )
    assert logits.grad is not None
    assert (logits.grad[~VALID[:, None].expand_as(logits)] == 0).all()
    assert (logits.grad[VALID[:, None].expand_as(logits)] != 0).all()


def test_the_gradient_of_the_weighted_cross_entropy_is_that_of_autograd() -> None:
    logits = LOGITS.double().requires_grad_()
    regions = region_label(LABEL, TARGETS.members)
    loss = MASK_LOSSES["focal"](gamma=1.5, class_weights=(1.0, 2.0, 5.0))

    small = [part[:1, ..., :2, :2, :2] for part in (logits, regions, VALID)]
    assert torch.autograd.gradcheck(lambda x: loss(x, small[1], small[2]), [small[0].clone()])

import itertools

import pytest
import torch

from vesuv.config.loss import ALL_LOSSES
from vesuv.losses import MASK_LOSSES, Boundary, Loss, Variance, build_losses

FORMS = [
    *(kind() for kind in MASK_LOSSES.values()),
    Variance(form="ccc"),
    Variance(form="original"),
    Boundary(form="band"),
]


@pytest.mark.parametrize("loss", FORMS, ids=repr)
def test_no_prediction_leaves_the_stated_limits(loss: Loss) -> None:
    floor, ceiling = loss.limits
    generator = torch.Generator().manual_seed(0)
    label = (torch.rand((2, 12, 12, 12), generator=generator) < 0.3).to(torch.uint8)
    valid = torch.ones_like(label, dtype=torch.bool)

    for scale, shift in itertools.product((0.0, 1.0, 5.0, 30.0), (-3.0, 0.0, 3.0)):
        logits = scale * torch.randn((2, 1, 12, 12, 12), generator=generator) + shift
        assert floor - 1e-5 <= float(loss(logits, label, valid)) <= ceiling + 1e-5
    mask = (60.0 * label - 30.0)[:, None]
    share = float(label.float().mean())
    assert float(loss(mask, label, valid)) == pytest.approx(loss.perfect_score(share), abs=2e-3)


@pytest.mark.parametrize("constant", [-2.0, 0.0, 2.0])
def test_a_constant_scores_what_is_stated(constant: float) -> None:
    label = torch.zeros((1, 8, 8, 8), dtype=torch.uint8)
    label[:, :3] = 1
    logits = torch.full((1, 1, 8, 8, 8), constant)
    stated = {
        name: loss
        for name, loss in build_losses(ALL_LOSSES(), list(MASK_LOSSES)).items()
        if loss.constant_score is not None
    }

    assert set(stated) == {"variance"}
    for loss in stated.values():
        assert float(loss(logits, label, label < 2)) == pytest.approx(loss.constant_score, abs=1e-5)


def test_the_floor_of_the_diarys_variance_is_attained() -> None:
    p = torch.where(torch.arange(512) % 2 == 0, 0.19971, 0.80029).reshape(1, 1, 8, 8, 8)
    original = FORMS[-2]

    value = float(original(torch.logit(p), torch.zeros((1, 8, 8, 8)), torch.ones((1, 8, 8, 8)) > 0))

    assert value == pytest.approx(original.limits[0], abs=1e-3)

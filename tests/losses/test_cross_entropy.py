import math

import pytest
import torch
import torch.nn.functional as F

from vesuv.losses.cross_entropy import CrossEntropy

LABEL = torch.tensor([1, 0, 0, 1]).view(1, 1, 1, 4)
VALID = torch.tensor([True, True, True, False]).view(1, 1, 1, 4)


def test_binary_cross_entropy_by_hand() -> None:
    logits = torch.tensor([0.9, 0.4, 0.2, 0.5]).logit().view(1, 1, 1, 1, 4)

    loss = CrossEntropy(positive_weight=42.0, class_weights=None)(logits, LABEL, VALID)

    by_hand = (42 * -math.log(0.9) - math.log(0.6) - math.log(0.8)) / 3
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)


def test_positive_weight_equals_torchs() -> None:
    logits = torch.randn(1, 1, 1, 1, 3)
    label = LABEL[..., :3]

    ours = CrossEntropy(positive_weight=3.0, class_weights=None)(logits, label, VALID[..., :3])
    torchs = F.binary_cross_entropy_with_logits(
        logits[:, 0], label.float(), pos_weight=torch.tensor(3.0)
    )

    assert ours.item() == pytest.approx(torchs.item(), rel=1e-5)


def test_softmax_cross_entropy_divides_by_voxels_and_not_by_weights() -> None:
    logits = torch.tensor([[0.5, 0.2], [0.25, 0.2], [0.25, 0.6]]).log().view(1, 3, 1, 1, 2)
    label = torch.tensor([0, 2]).view(1, 1, 1, 2)
    valid = torch.ones_like(label, dtype=torch.bool)

    loss = CrossEntropy(positive_weight=2.0, class_weights=(1.0, 5.0, 3.0))(logits, label, valid)

    by_hand = (-math.log(0.5) - 2 * 3 * math.log(0.6)) / 2
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)


def test_a_constant_one_half_scores_log_two() -> None:
    loss = CrossEntropy(positive_weight=1.0, class_weights=None)(
        torch.zeros(1, 1, 1, 1, 4), LABEL, VALID
    )

    assert loss.item() == pytest.approx(math.log(2))

import torch
import torch.nn.functional as F

from vesuv.losses.prediction import Prediction
from vesuv.losses.voxelwise import class_weight, focal_mean

LABEL = torch.tensor([[0, 1], [2, 255]]).view(1, 1, 2, 2)


def test_each_voxel_gets_its_classs_weight() -> None:
    valid = LABEL != 255

    weight = class_weight(Prediction(torch.zeros(1, 3, 1, 2, 2), LABEL, valid), (1.0, 5.0, 7.0))

    assert weight.shape == (1, 1, 1, 2, 2)
    assert weight.flatten()[:3].tolist() == [1.0, 5.0, 7.0]


def test_a_single_logit_gets_background_and_foreground_weight() -> None:
    label = LABEL.clamp(max=1)

    weight = class_weight(Prediction(torch.zeros(1, 1, 1, 2, 2), label, label < 2), (0.5, 3.0))

    assert weight.flatten().tolist() == [0.5, 3.0, 3.0, 3.0]


def test_the_closed_form_gradient_equals_autograds() -> None:
    torch.manual_seed(0)
    label = torch.randint(0, 2, (2, 3, 4, 5))
    weight = torch.rand(2, 1, 3, 4, 5, dtype=torch.float64)
    logits = torch.randn(2, 1, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    target = label.unsqueeze(1).double()

    ours = focal_mean(Prediction(logits, label, torch.ones_like(label)), weight, gamma=2.5)
    surprise = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    spelled = (weight * (1 - torch.exp(-surprise)) ** 2.5 * surprise).mean()

    torch.testing.assert_close(ours, spelled)
    torch.testing.assert_close(
        torch.autograd.grad(3 * ours, logits), torch.autograd.grad(3 * spelled, logits)
    )

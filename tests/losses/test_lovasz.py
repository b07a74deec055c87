"""The Lovász loss against its definition as a sum over sets of wrong voxels."""

import itertools

import pytest
import torch
from torch import Tensor

from vesuv.losses.lovasz import Lovasz


def jaccard_loss(wrong: set[int], target: list[bool]) -> float:
    """1 - intersection / union of the label and the label with the wrong voxels flipped."""
    labelled = {index for index, inside in enumerate(target) if inside}
    predicted = labelled ^ wrong
    union = labelled | predicted
    return 1 - len(labelled & predicted) / len(union) if union else 0.0


def lovasz_extension(errors: list[float], target: list[bool]) -> float:
    """Integrate the loss of the voxels of an error above t, over t from 0."""
    total = 0.0
    levels = sorted({0.0, *errors})
    for low, high in itertools.pairwise(levels):
        wrong = {index for index, error in enumerate(errors) if error >= high}
        total += (high - low) * jaccard_loss(wrong, target)
    return total


def sample(num_logits: int, num_voxels: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num_logits)
    logits = 2 * torch.randn(2, num_logits, 1, 1, num_voxels, generator=generator).double()
    label = torch.randint(0, max(2, num_logits), (2, 1, 1, num_voxels), generator=generator)
    return logits, label, torch.rand(2, 1, 1, num_voxels, generator=generator) < 0.7


def hinge(logits: Tensor, target: Tensor) -> list[float]:
    signs = torch.where(target, 1.0, -1.0)
    return (1 - logits * signs).clamp_min(0).tolist()


def test_one_logit_equals_the_extension_of_the_hinge() -> None:
    logits, label, valid = sample(1)

    loss = Lovasz()(logits, label, valid)

    target = label[valid] == 1
    expected = lovasz_extension(hinge(logits[:, 0][valid], target), target.tolist())
    assert loss.item() == pytest.approx(expected)


def test_several_classes_equal_the_mean_extension_of_the_probability_errors() -> None:
    logits, label, valid = sample(3)

    loss = Lovasz()(logits, label, valid)

    probs = torch.softmax(logits, dim=1)
    extensions = []
    for index in (0, 1, 2):
        target = label[valid] == index
        errors = (target.double() - probs[:, index][valid]).abs()
        extensions.append(lovasz_extension(errors.tolist(), target.tolist()))
    assert loss.item() == pytest.approx(sum(extensions) / 3)


def test_patches_alone_are_averaged_over_those_with_a_valid_voxel() -> None:
    logits, label, valid = sample(1)
    logits, label = torch.cat([logits, logits[:1]]), torch.cat([label, label[:1]])
    valid = torch.cat([valid, torch.zeros_like(valid[:1])])

    loss = Lovasz(batch=False)(logits, label, valid)

    expected = 0.0
    for patch in range(2):
        target = label[patch][valid[patch]] == 1
        errors = hinge(logits[patch, 0][valid[patch]], target)
        expected += lovasz_extension(errors, target.tolist()) / 2
    assert loss.item() == pytest.approx(expected)


def test_without_foreground_the_largest_error_counts() -> None:
    label = torch.zeros(1, 1, 1, 3, dtype=torch.long)
    logits = torch.tensor([-2.0, 0.25, -0.5]).view(1, 1, 1, 1, 3).requires_grad_()

    loss = Lovasz()(logits, label, label == 0)
    loss.backward()

    assert loss.item() == pytest.approx(1.25)
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == [0.0, 1.0, 0.0]


def test_constant_predictions_score_as_documented() -> None:
    label = torch.tensor([1, 0, 0, 0, 0]).view(1, 1, 1, 5)
    valid = torch.ones_like(label, dtype=torch.bool)

    assert Lovasz()(torch.zeros(1, 1, 1, 1, 5), label, valid).item() == pytest.approx(1.0)
    for p, foreground, background in (
        (0.3, 0.7, 0.7 * 0.2 + 0.3 * 0.8),
        (0.8, 0.8 * 0.8 + 0.2 * 0.2, 0.8),
    ):
        expected = (foreground + background) / 2
        probs = torch.tensor([1 - p, p]).log().view(1, 2, 1, 1, 1).expand(1, 2, 1, 1, 5)
        assert Lovasz()(probs, label, valid).item() == pytest.approx(expected)


def test_the_gradient_away_from_ties_is_that_of_the_value() -> None:
    for num_logits in (1, 3):
        logits, label, valid = sample(num_logits, num_voxels=8)
        loss = Lovasz()

        assert torch.autograd.gradcheck(
            lambda x, loss=loss, label=label, valid=valid: loss(x, label, valid),
            (logits.requires_grad_(),),
        )


def test_a_million_voxels_in_float32_keep_the_digits_of_float64() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 1, 100, 100, 100, generator=generator)
    label = (torch.rand(1, 100, 100, 100, generator=generator) < 0.1).to(torch.uint8)

    single = Lovasz()(logits, label, label < 2)
    double = Lovasz()(logits.double(), label, label < 2)

    assert single.item() == pytest.approx(double.item(), rel=2e-6)

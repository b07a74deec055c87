"""What every loss keeps, for one logit and for softmax."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from vesuv.config.loss import ALL_LOSSES, read_losses
from vesuv.losses import MASK_LOSSES, build_losses
from vesuv.losses.prediction import Loss

IGNORE = 255
NAMES = list(MASK_LOSSES)
BINARY, SOFTMAX = 1, 3


def sample(num_logits: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Random logits and labels in float64, a third of the voxels ignored."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 6, 7, 8)
    logits = torch.randn(2, num_logits, *shape[1:], generator=generator, dtype=torch.float64)
    label = torch.randint(0, max(2, num_logits), shape, generator=generator).to(torch.uint8)
    label[:, :, :, 5:] = IGNORE
    return logits, label, label != IGNORE


def build(name: str) -> Loss:
    thin = {"cldice": {"iterations": 1}, "surface_dice": {"iterations": 1, "tolerance": 1}}
    return build_losses(read_losses(thin), [name])[name]


def value_and_gradient(
    loss: Loss, logits: Tensor, label: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    logits = logits.clone().requires_grad_()
    value = loss(logits, label, valid)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient


def test_losses_are_built_in_the_order_asked_for() -> None:
    assert list(build_losses(ALL_LOSSES(), ["focal", "dice"])) == ["focal", "dice"]


@pytest.mark.parametrize("num_logits", [BINARY, SOFTMAX])
@pytest.mark.parametrize("name", NAMES)
def test_a_loss_is_a_finite_scalar(name: str, num_logits: int) -> None:
    value, gradient = value_and_gradient(build(name), *sample(num_logits))

    assert value.shape == ()
    assert value >= 0
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("num_logits", [BINARY, SOFTMAX])
@pytest.mark.parametrize("name", NAMES)
def test_what_stands_on_ignored_voxels_changes_neither_loss_nor_gradient(
    name: str, num_logits: int
) -> None:
    logits, label, valid = sample(num_logits)
    other_logits, other_label = logits.clone(), label.clone()
    other_logits[..., 5:] = 9.0
    other_label[..., 5:] = 1

    value, gradient = value_and_gradient(build(name), logits, label, valid)
    other_value, other_gradient = value_and_gradient(build(name), other_logits, other_label, valid)

    assert value == other_value
    assert torch.equal(gradient, other_gradient)
    assert not gradient[..., 5:].any()


@pytest.mark.parametrize("num_logits", [BINARY, SOFTMAX])
@pytest.mark.parametrize("fill", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_a_patch_of_one_class_is_finite(name: str, fill: int, num_logits: int) -> None:
    logits, label, valid = sample(num_logits)
    label.fill_(fill)

    value, gradient = value_and_gradient(build(name), logits, label, valid)

    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("num_logits", [BINARY, SOFTMAX])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_valid_scores_zero_without_gradient(name: str, num_logits: int) -> None:
    logits, label, valid = sample(num_logits)

    value, gradient = value_and_gradient(build(name), logits, label, torch.zeros_like(valid))

    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("num_logits", [BINARY, SOFTMAX])
@pytest.mark.parametrize("name", NAMES)
def test_certain_logits_of_the_wrong_and_right_class_stay_finite(
    name: str, num_logits: int
) -> None:
    logits, label, valid = sample(num_logits)

    value, gradient = value_and_gradient(build(name), logits.float() * 1e4, label, valid)

    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("num_logits", [BINARY, SOFTMAX])
@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_mask_scores_zero(name: str, num_logits: int) -> None:
    _, label, valid = sample(num_logits)
    label[0, 0, 0, :3] = torch.tensor([0, 1, max(1, num_logits - 1)])
    index = label.long().masked_fill(~valid, 0)
    truth = torch.nn.functional.one_hot(index, max(2, num_logits)).movedim(-1, 1)
    logits = (truth[:, -num_logits:].double() - 0.5) * 200

    assert build(name)(logits, label, valid).item() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("num_logits", [BINARY, SOFTMAX])
@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_the_value(name: str, num_logits: int) -> None:
    logits, label, valid = sample(num_logits)
    logits, label, valid = logits[:, :, :4, :4], label[:, :4, :4], valid[:, :4, :4]
    logits = logits.clone().requires_grad_()

    assert torch.autograd.gradcheck(
        lambda x: build(name)(x, label, valid), (logits,), fast_mode=True
    )


@pytest.mark.parametrize("num_logits", [BINARY, SOFTMAX])
@pytest.mark.parametrize("name", NAMES)
def test_sums_run_in_float32_under_autocast(name: str, num_logits: int) -> None:
    logits, label, valid = sample(num_logits)
    half = logits.bfloat16()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = build(name)(half, label, valid)

    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(build(name)(half.double(), label, valid).item(), abs=1e-5)


@pytest.mark.parametrize("num_logits", [BINARY, SOFTMAX])
@pytest.mark.parametrize("name", NAMES)
def test_no_value_decides_the_shapes_so_that_the_cost_of_a_step_can_be_computed(
    name: str, num_logits: int
) -> None:
    with FakeTensorMode():
        logits = torch.zeros(2, num_logits, 6, 7, 8, requires_grad=True)
        label = torch.zeros(2, 6, 7, 8, dtype=torch.uint8)

        (gradient,) = torch.autograd.grad(build(name)(logits, label, label != IGNORE), logits)

    assert gradient.shape == logits.shape


@pytest.mark.parametrize("form", ["separation", "ccc", "original"])
def test_each_form_of_variance_has_the_gradient_of_its_value(form: str) -> None:
    loss = build_losses(read_losses({"variance": {"form": form}}), ["variance"])["variance"]
    logits, label, valid = sample(BINARY)
    logits = logits.requires_grad_()

    assert torch.autograd.gradcheck(lambda x: loss(x, label, valid), (logits,), fast_mode=True)

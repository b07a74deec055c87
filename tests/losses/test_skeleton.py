from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from monai.losses.cldice import soft_skel
from torch import Tensor

from vesuv.losses.skeleton import dilate, erode, skeleton, soft_dilation, soft_skeleton


def plain_skeleton(probs: Tensor, iterations: int) -> Tensor:
    """The paper's recursion with erosion by the cube, on torch's pooling."""

    def eroded(x: Tensor) -> Tensor:
        return -F.max_pool3d(-x, 3, 1, 1)

    def ridge(x: Tensor) -> Tensor:
        return F.relu(x - F.max_pool3d(eroded(x), 3, 1, 1))

    result = ridge(probs)
    for _ in range(iterations):
        probs = eroded(probs)
        result = result + F.relu(ridge(probs) - result * ridge(probs))
    return result


def random_probs(shape: tuple[int, ...] = (2, 2, 7, 8, 9)) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_the_cross_skeleton_and_its_gradient_equal_monais(iterations: int) -> None:
    probs = random_probs().requires_grad_()
    direction = random_probs().flip(0)

    ours, monais = soft_skeleton(probs, iterations, cube=False), soft_skel(probs, iterations)

    torch.testing.assert_close(ours, monais)
    torch.testing.assert_close(
        torch.autograd.grad((ours * direction).sum(), probs),
        torch.autograd.grad((monais * direction).sum(), probs),
    )


@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_the_cube_skeleton_and_its_gradient_equal_the_plain_spelling(iterations: int) -> None:
    probs = random_probs().requires_grad_()
    direction = random_probs().flip(0)

    ours, plain = soft_skeleton(probs, iterations, cube=True), plain_skeleton(probs, iterations)

    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(
        torch.autograd.grad((ours * direction).sum(), probs),
        torch.autograd.grad((plain * direction).sum(), probs),
    )


@pytest.mark.parametrize("cube", [True, False])
def test_the_gradient_passes_a_numerical_check_on_thin_volumes(cube: bool) -> None:
    probs = random_probs((1, 1, 1, 2, 5)).requires_grad_()

    assert torch.autograd.gradcheck(lambda x: soft_skeleton(x, 1, cube), (probs,))


@pytest.mark.parametrize("cube", [True, False])
def test_a_masks_skeleton_equals_the_soft_one(cube: bool) -> None:
    mask = F.avg_pool3d(random_probs((1, 2, 12, 12, 12)), 3, 1, 1) > 0.45

    soft = soft_skeleton(mask.double(), 2, cube)

    assert torch.equal(skeleton(mask, 2, cube).double(), soft)


@pytest.mark.parametrize(("thickness", "kept"), [(1, {4}), (2, {4, 5}), (3, {5})])
def test_a_sheet_is_reduced_to_its_middle(thickness: int, kept: set[int]) -> None:
    mask = torch.zeros(1, 1, 12, 8, 8, dtype=torch.bool)
    mask[:, :, 4 : 4 + thickness] = True

    found = skeleton(mask, iterations=2, cube=True)

    assert set(found[0, 0, :, 4, 4].nonzero().flatten().tolist()) == kept


def test_the_cube_keeps_a_thin_oblique_sheet_whole_and_the_cross_a_third() -> None:
    z, y, _ = torch.meshgrid(*[torch.arange(24)] * 3, indexing="ij")
    sheet = ((z + y - 24).abs() <= 1)[None, None]

    kept_by_cube = skeleton(sheet, 3, cube=True)[sheet].float().mean().item()
    kept_by_cross = skeleton(sheet, 3, cube=False)[sheet].float().mean().item()

    assert kept_by_cube == 1.0
    assert kept_by_cross == pytest.approx(1 / 3, abs=0.01)


def kept_for_backward(compute: Callable[[], Tensor]) -> list[Tensor]:
    """Return the tensors that autograd saves."""
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        compute()
    return kept


def test_only_the_input_is_kept_for_backward() -> None:
    probs = random_probs().requires_grad_()

    kept = kept_for_backward(lambda: soft_skeleton(probs, 3, cube=True))

    assert [tensor.data_ptr() for tensor in kept] == [probs.data_ptr()]


def test_channels_last_probabilities_give_the_same() -> None:
    direction = random_probs().flip(0)
    plain = random_probs().requires_grad_()
    last = random_probs().to(memory_format=torch.channels_last_3d).requires_grad_()

    for probs in (plain, last):
        (soft_skeleton(probs, 2, cube=True) * direction).sum().backward()

    torch.testing.assert_close(soft_skeleton(last, 2, True), soft_skeleton(plain, 2, True))
    torch.testing.assert_close(last.grad, plain.grad)


def test_eroding_a_mask_takes_a_layer_each_time_and_none_at_the_edge() -> None:
    mask = torch.ones(1, 1, 5, 5, 9, dtype=torch.bool)
    mask[..., 2, 2, 8] = False

    assert erode(mask, times=2)[0, 0, 0, 0].tolist() == [True] * 6 + [False] * 3
    assert erode(mask, times=1)[0, 0, 0, 0].tolist() == [True] * 9


def test_dilating_a_mask_adds_a_layer_each_time() -> None:
    mask = torch.zeros(1, 1, 5, 5, 9, dtype=torch.bool)
    mask[..., 2, 2, 8] = True

    assert dilate(mask, times=2)[0, 0, 0, 0].tolist() == [False] * 6 + [True] * 3
    assert dilate(mask, times=1)[0, 0, 0, 0].tolist() == [False] * 9


@pytest.mark.parametrize("times", [1, 2, 3])
def test_soft_dilation_and_its_gradient_equal_torchs_max_pooling(times: int) -> None:
    probs = random_probs().requires_grad_()
    direction = random_probs().flip(0)

    ours = soft_dilation(probs, times)
    pooled = F.max_pool3d(probs, 2 * times + 1, stride=1, padding=times)

    torch.testing.assert_close(ours, pooled)
    torch.testing.assert_close(
        torch.autograd.grad((ours * direction).sum(), probs),
        torch.autograd.grad((pooled * direction).sum(), probs),
    )


def test_dilation_keeps_its_input_alone_for_backward() -> None:
    probs = random_probs().requires_grad_()

    kept = kept_for_backward(lambda: soft_dilation(probs, 2))

    assert [tensor.data_ptr() for tensor in kept] == [probs.data_ptr()]

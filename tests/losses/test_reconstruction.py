import torch

from vesuv.losses.reconstruction import masked_error


def test_the_error_is_the_mean_square_over_masked_voxels_of_all_channels() -> None:
    target = torch.zeros(1, 2, 1, 1, 3)
    outputs = torch.tensor([[[[[1.0, 5.0, 2.0]]], [[[3.0, 5.0, 0.0]]]]])
    mask = torch.tensor([[[[True, False, True]]]])

    assert masked_error(outputs, target, mask).item() == (1 + 4 + 9 + 0) / 4


def test_voxels_that_are_not_masked_have_no_gradient() -> None:
    outputs = torch.ones(1, 1, 1, 1, 2, requires_grad=True)
    masked_error(outputs, torch.zeros(1, 1, 1, 1, 2), torch.tensor([[[[True, False]]]])).backward()

    assert outputs.grad is not None and outputs.grad.flatten().tolist() == [2.0, 0.0]


def test_a_batch_without_masked_voxels_has_no_error() -> None:
    outputs = torch.full((1, 1, 1, 1, 2), float("nan"))

    mask = torch.zeros(1, 1, 1, 2, dtype=torch.bool)

    assert masked_error(outputs, torch.zeros(1, 1, 1, 1, 2), mask).item() == 0.0

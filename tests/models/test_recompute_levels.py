import copy

import pytest
import torch
from torch import nn

from vesuv.errors import InputError
from vesuv.models import PlainUNet, build_model, recompute_levels
from vesuv.models.plain_conv_unet import PlainConvUNetConfig
from vesuv.models.residual_encoder_unet import ResidualEncoderUNetConfig
from vesuv.models.stages import StagesConfig


def gradients(network: nn.Module, image: torch.Tensor) -> tuple[list[torch.Tensor], int]:
    """Return the gradients of a step and the bytes that forward kept for it."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network(image).sigmoid().square().mean()
    total = sum(kept.values())
    loss.backward()
    return [parameter.grad for parameter in network.parameters()], total


@pytest.mark.parametrize("levels", [1, 2, 9])
def test_recomputing_gives_the_same_gradients_and_keeps_less(levels: int) -> None:
    torch.manual_seed(0)
    plain = PlainUNet(1, 1, filters=4, depth=2).train()
    again = copy.deepcopy(plain)
    image = torch.randn(2, 1, 16, 16, 16)

    recompute_levels(again, levels)
    expected, kept = gradients(plain, image)
    found, kept_again = gradients(again, image)

    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert kept_again < 0.7 * kept


@pytest.mark.parametrize("levels", [1, 9])
@pytest.mark.parametrize("section", [PlainConvUNetConfig, ResidualEncoderUNetConfig])
def test_stages_are_recomputed_with_the_same_gradients_and_keep_less(
    section: type[StagesConfig], levels: int
) -> None:
    plain = build_model(section(features_per_stage=(4, 6, 8))).train()
    again = copy.deepcopy(plain)
    image = torch.randn(2, 1, 16, 16, 16)

    recompute_levels(again, levels)
    again = copy.deepcopy(again)  # as averages of weights do
    expected, kept = gradients(plain, image)
    found, kept_again = gradients(again, image)

    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert kept_again < 0.7 * kept
    assert list(again.state_dict()) == list(plain.state_dict())
    with torch.no_grad():
        assert torch.equal(again.eval()(image), plain.eval()(image))


def test_other_networks_refuse() -> None:
    with pytest.raises(InputError, match=r"runtime\.recompute_levels: only model\.name=plain_unet"):
        recompute_levels(nn.Conv3d(1, 1, 3), 1)


def test_nothing_to_recompute_is_fine_for_any_network() -> None:
    recompute_levels(nn.Conv3d(1, 1, 3), 0)

"""First weights of the plain U-Net whose convolutions pass channels on."""

from __future__ import annotations

import torch
from torch import nn

from vesuv.models.plain_unet import PlainUNetConfig


def test_convolutions_pass_as_many_channels_on_as_they_receive() -> None:
    torch.manual_seed(0)
    network = PlainUNetConfig(
        filters=16, depth=1, space_to_depth=(2, 2, 2), refinement=True, initialisation="dirac"
    ).build()
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv3d)]
    inputs = [module.in_channels for module in convolutions if module.kernel_size != (1, 1, 1)]
    assert inputs == [8, 16, 16, 32, 32, 16, 24]

    for module in convolutions:
        image = torch.randn(1, module.in_channels, 4, 4, 4)
        passed = min(module.in_channels, module.out_channels)
        same = torch.equal(module(image)[:, :passed], image[:, :passed])
        assert same == (module.kernel_size != (1, 1, 1))
        assert module.weight.flatten(1).norm(dim=1).min() > 0


def test_other_channels_are_drawn_as_without() -> None:
    weights = []
    for initialisation in ("he", "dirac"):
        torch.manual_seed(0)
        network = PlainUNetConfig(filters=4, depth=1, initialisation=initialisation).build()
        first = next(network.parameters())
        weights.append(first.detach())

    assert torch.equal(weights[0][1:], weights[1][1:])
    assert not torch.equal(weights[0][:1], weights[1][:1])

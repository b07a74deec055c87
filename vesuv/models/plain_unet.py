"""The default network: an encoder, a bottleneck and a decoder of plain convolutions."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vesuv.config.data import PositiveInt
from vesuv.config.model import NetworkConfig
from vesuv.models.normalization import NormActivation

SLOPE = 0.01
"""Negative slope of every LeakyReLU and of the He initialisation."""


class PlainUNet(nn.Module):
    """U-Net of two convolutions a level, without affine normalisation, ending in logits.

    Each level: two 3x3x3 convolutions with bias, instance norm, LeakyReLU; 2x2x2 max-pooling down,
    2x2x2 transposed convolution up, concatenation across; a 1x1x1 convolution at the end. With one
    input channel, one logit, 32 filters and depth 4 it has 22,575,329 parameters. Parameter names
    begin with `encoder`, `bottleneck`, `decoder` or `output`.

    Args:
        in_channels: Image channels.
        out_channels: Logits a voxel.
        filters: Channels of the first level; doubled at each level down.
        depth: Number of poolings; each patch edge is a multiple of 2**depth.
    """

    def __init__(self, in_channels: int, out_channels: int, filters: int, depth: int) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(depth + 1)]
        self.encoder = nn.ModuleList(
            _two_convolutions(in_width, width)
            for in_width, width in zip([in_channels, *widths], widths[:-1], strict=False)
        )
        self.pool = nn.MaxPool3d(2)
        self.bottleneck = _two_convolutions(widths[-2] if depth else in_channels, widths[-1])
        self.decoder = nn.ModuleList(
            _UpBlock(lower, width)
            for lower, width in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.output = nn.Conv3d(filters, out_channels, kernel_size=1)
        self.recomputed_levels = 0
        """Levels from the top whose activations backward recomputes."""
        initialise_weights(self)

    def forward(self, image: Tensor) -> Tensor:
        """Map images (b, c, z, y, x) to logits (b, k, z, y, x)."""
        skips: list[Tensor] = []
        features = image
        for level, convolutions in enumerate(self.encoder):
            features = self._run_level(level, convolutions, features)
            skips.append(features)
            features = self.pool(features)
        features = self._run_level(len(skips), self.bottleneck, features)
        for up in self.decoder:
            skip = skips.pop()
            features = self._run_level(len(skips), up, features, skip)
        logits: Tensor = self.output(features)
        return logits

    def _run_level(self, level: int, module: nn.Module, *features: Tensor) -> Tensor:
        if self.training and level < self.recomputed_levels:
            recomputed: Tensor = checkpoint(module, *features, use_reentrant=False)
            return recomputed
        output: Tensor = module(*features)
        return output


class _UpBlock(nn.Module):
    """Double the resolution, concatenate the encoder's features of that level, convolve twice."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose3d(in_channels, width, kernel_size=2, stride=2)
        self.convolutions = _two_convolutions(2 * width, width)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        output: Tensor = self.convolutions(torch.cat([self.upsample(features), skip], dim=1))
        return output


def _two_convolutions(in_channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(in_channels, width, kernel_size=3, padding=1),
        NormActivation(SLOPE),
        nn.Conv3d(width, width, kernel_size=3, padding=1),
        NormActivation(SLOPE),
    )


def initialise_weights(network: nn.Module) -> None:
    """Draw all convolution weights after He for LeakyReLU and set their biases to zero.

    Source:
        He et al. 2015, Delving Deep into Rectifiers, equation 15.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class PlainUNetConfig(NetworkConfig):
    """`model: {name: plain_unet}`."""

    name: Literal["plain_unet"] = "plain_unet"
    filters: PositiveInt = 32
    """Channels of the first level; doubled at each level down."""
    depth: int = Field(default=4, ge=1, le=10)
    """Number of poolings."""

    @property
    def halvings(self) -> int:
        return self.depth

    def build(self) -> PlainUNet:
        return PlainUNet(self.in_channels, self.out_channels, self.filters, self.depth)

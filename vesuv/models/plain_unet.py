"""The default network: an encoder, a bottleneck and a decoder of plain convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vesuv.config.data import PositiveInt
from vesuv.config.model import NetworkConfig
from vesuv.models.normalization import NormActivation
from vesuv.types import Shape

SLOPE = 0.01
"""Negative slope of every LeakyReLU and of the He initialisation."""


class PlainUNet(nn.Module):
    """U-Net of two convolutions a level, without affine normalisation, ending in logits.

    Each level: two 3x3x3 convolutions with bias, instance norm, LeakyReLU; 2x2x2 max-pooling down,
    2x2x2 transposed convolution up, concatenation across; a 1x1x1 convolution at the end. With one
    input channel, one logit, 32 filters and depth 4 it has 22,575,329 parameters. Parameter names
    begin with `encoder`, `bottleneck`, `decoder` or `output`. For anisotropic voxels or flat
    volumes, strides and kernels can differ by level and axis.

    With `space_to_depth`, each block of voxels becomes the channels of one voxel of the first level
    (an eighth of the voxels for blocks of 2x2x2), and each output holds the logits of all voxels of
    its block, so that the resolution of the logits stays that of the image.

    With `refinement`, the logits are computed from the decoder's features and the image's own
    voxels, by a 3x3x3 convolution of `filters` channels and LeakyReLU before the 1x1x1 convolution.

    With `deep_supervision`, it returns in training the logits of all levels of the decoder but the
    lowest, finest first.

    With `dirac`, as many channels of a 3x3x3 convolution as there are inputs begin by passing these
    on: the encoder begins with the image itself, the decoder with what comes from below.

    Args:
        in_channels: Image channels.
        out_channels: Logits a voxel.
        filters: Channels of the first level; doubled at each level down.
        depth: Number of poolings.
        strides: (z, y, x) edges of each pooling, from the top; None: 2x2x2 everywhere. Each patch
            edge is a multiple of the product along its axis.
        kernels: (z, y, x) edges of the convolution kernels of each level, from the top, one entry
            more than poolings; None: 3x3x3 everywhere.
        space_to_depth: (z, y, x) edges of the blocks of voxels.
        refinement: Whether a convolution sees features and image before the last one.
        deep_supervision: Whether coarser levels have 1x1x1 convolutions of their own.
        dirac: Whether 3x3x3 convolutions begin by passing channels on.

    Source:
        Shi et al. 2016, Real-Time Single Image and Video Super-Resolution Using an Efficient
        Sub-Pixel Convolutional Neural Network, section 3.2, for the logits of a block.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        filters: int,
        depth: int,
        strides: Sequence[Shape] | None = None,
        kernels: Sequence[Shape] | None = None,
        *,
        space_to_depth: Shape = (1, 1, 1),
        refinement: bool = False,
        deep_supervision: bool = False,
        dirac: bool = False,
    ) -> None:
        super().__init__()
        self.block = space_to_depth
        block_voxels = math.prod(space_to_depth)
        widths = [filters * 2**level for level in range(depth + 1)]
        self.strides = tuple(strides or [(2, 2, 2)] * depth)
        edges = tuple(kernels or [(3, 3, 3)] * (depth + 1))
        self.encoder = nn.ModuleList(
            _two_convolutions(in_width, width, edge)
            for in_width, width, edge in zip(
                [in_channels * block_voxels, *widths[:-2]], widths[:-1], edges[:-1], strict=True
            )
        )
        self.bottleneck = _two_convolutions(widths[-2], widths[-1], edges[-1])
        self.decoder = nn.ModuleList(
            _UpBlock(widths[level], self.strides[level], edges[level])
            for level in reversed(range(depth))
        )
        outputs = out_channels * block_voxels
        coarse_widths = widths[1 : depth - 1][::-1] if deep_supervision else []
        self.coarse_outputs = nn.ModuleList(nn.Conv3d(width, outputs, 1) for width in coarse_widths)
        self.output_refinement: nn.Conv3d | None = None
        if refinement:
            in_width = filters + in_channels * block_voxels
            self.output_refinement = nn.Conv3d(in_width, filters, edges[0], padding=_same(edges[0]))
        self.output = nn.Conv3d(filters, outputs, kernel_size=1)
        self.recomputed_levels = 0
        """Levels from the top whose activations backward recomputes."""
        _initialise_weights(self, dirac=dirac)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Map images (b, c, z, y, x) to logits (b, k, z, y, x), or to those of several scales."""
        skips: list[Tensor] = []
        features = blocks = fold_blocks(image, self.block)
        for level, convolutions in enumerate(self.encoder):
            features = self._run_level(level, convolutions, features)
            skips.append(features)
            features = F.max_pool3d(features, self.strides[level])
        features = self._run_level(len(skips), self.bottleneck, features)
        scales: list[Tensor] = []
        for number, up in enumerate(self.decoder):
            skip = skips.pop()
            features = self._run_level(len(skips), up, features, skip)
            if self.training and 0 < number <= len(self.coarse_outputs):
                coarse = self.coarse_outputs[number - 1](features)
                scales.append(unfold_blocks(coarse, self.block))
        if self.output_refinement is not None:
            both = torch.cat([features, blocks.to(features.dtype)], dim=1)
            features = F.leaky_relu(self.output_refinement(both), SLOPE)
        logits = unfold_blocks(self.output(features), self.block)
        return [logits, *reversed(scales)] if scales else logits

    def _run_level(self, level: int, module: nn.Module, *features: Tensor) -> Tensor:
        if self.training and level < self.recomputed_levels:
            recomputed: Tensor = checkpoint(module, *features, use_reentrant=False)
            return recomputed
        output: Tensor = module(*features)
        return output


class _UpBlock(nn.Module):
    """Undo a pooling, concatenate the encoder's features of that level, convolve twice."""

    def __init__(self, width: int, stride: Shape, kernel: Shape) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose3d(2 * width, width, kernel_size=stride, stride=stride)
        self.convolutions = _two_convolutions(2 * width, width, kernel)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        output: Tensor = self.convolutions(torch.cat([self.upsample(features), skip], dim=1))
        return output


def fold_blocks(volume: Tensor, block: Shape) -> Tensor:
    """Move the voxels of each block into channels: (b, c, z, y, x) to (b, c * voxels, z', y', x').

    Args:
        volume: Its edges are multiples of the block's.
        block: (z, y, x) edges of a block.
    """
    if block == (1, 1, 1):
        return volume
    b, c, z, y, x = volume.shape
    bz, by, bx = block
    blocks = volume.reshape(b, c, z // bz, bz, y // by, by, x // bx, bx)
    return blocks.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, -1, z // bz, y // by, x // bx)


def unfold_blocks(folded: Tensor, block: Shape) -> Tensor:
    """Undo `fold_blocks`."""
    if block == (1, 1, 1):
        return folded
    b, _, z, y, x = folded.shape
    bz, by, bx = block
    blocks = folded.reshape(b, -1, bz, by, bx, z, y, x)
    return blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, -1, z * bz, y * by, x * bx)


def _two_convolutions(in_channels: int, width: int, kernel: Shape) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(in_channels, width, kernel, padding=_same(kernel)),
        NormActivation(SLOPE),
        nn.Conv3d(width, width, kernel, padding=_same(kernel)),
        NormActivation(SLOPE),
    )


def _same(kernel: Shape) -> Shape:
    """Return the padding that keeps the shape."""
    return kernel[0] // 2, kernel[1] // 2, kernel[2] // 2


def _initialise_weights(network: nn.Module, *, dirac: bool) -> None:
    """Draw all convolution weights after He for LeakyReLU and set their biases to zero.

    Source:
        He et al. 2015, Delving Deep into Rectifiers, equation 15; `dirac`: Jordan 2024, 94% on
        CIFAR-10 in 3.29 Seconds on a Single GPU, identity initialization.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        if dirac and isinstance(module, nn.Conv3d) and math.prod(module.kernel_size) > 1:
            _pass_channels_on(module)


@torch.no_grad()
def _pass_channels_on(conv: nn.Conv3d) -> None:
    """Do as nn.init.dirac_ with the first channels, at once: init counts steps of many networks."""
    first = conv.weight[: conv.in_channels]
    z, y, x = (edge // 2 for edge in conv.kernel_size)
    first.zero_()[:, :, z, y, x].diagonal().fill_(1.0)


StrideEdge = Literal[1, 2]
KernelEdge = Literal[1, 3]


class PlainUNetConfig(NetworkConfig):
    """`model: {name: plain_unet}`."""

    name: Literal["plain_unet"] = "plain_unet"
    filters: PositiveInt = 32
    """Channels of the first level; doubled at each level down."""
    depth: int = Field(default=4, ge=1, le=10)
    """Number of poolings."""
    strides: tuple[tuple[StrideEdge, StrideEdge, StrideEdge], ...] | None = None
    """Factor (z, y, x), 1 or 2, by which each pooling divides the edges, from the top, one entry
    for each of `depth`; null: 2 everywhere. For flat volumes and anisotropic voxels."""
    kernels: tuple[tuple[KernelEdge, KernelEdge, KernelEdge], ...] | None = None
    """Kernel edges (z, y, x), 1 or 3, of each level, from the top, `depth` + 1 entries; null: 3
    everywhere. 1 along an axis whose voxels are much longer than the others'."""
    space_to_depth: tuple[StrideEdge, StrideEdge, StrideEdge] = (1, 1, 1)
    """Edges (z, y, x), 1 or 2, of the blocks of voxels that become channels of the first level.
    [2, 2, 2]: an eighth of the work at the same filters, and logits at full resolution."""
    refinement: bool = False
    """Compute the logits from the decoder's features and the image's own voxels, by a further 3x3x3
    convolution of `filters` channels: finer borders, above all on blocks of voxels."""
    deep_supervision: bool = False
    """Train also with the loss of the decoder's coarser levels but the lowest, each of half the
    weight of the level above it. It needs a depth of 3 or more."""
    initialisation: Literal["he", "dirac"] = "he"
    """First weights. he: drawn at random; dirac: as many channels of each 3x3x3 convolution as it
    has inputs begin by passing these on, with which short trainings get further."""

    @model_validator(mode="after")
    def _levels(self) -> PlainUNetConfig:
        for key, entries, expected in (
            ("strides", self.strides, self.depth),
            ("kernels", self.kernels, self.depth + 1),
        ):
            if entries is not None and len(entries) != expected:
                raise ValueError(
                    f"{key} needs {expected} entries of (z, y, x) for depth {self.depth}, found "
                    f"{len(entries)}"
                )
            if entries is not None and (1, 1, 1) in entries:
                raise ValueError(
                    f"{key} needs an edge above 1 in each entry, found [1, 1, 1] at position "
                    f"{entries.index((1, 1, 1))}"
                )
        if self.deep_supervision and self.depth < 3:
            raise ValueError(
                "deep_supervision needs a level between the finest and the lowest of the decoder, "
                f"found depth {self.depth}; set depth to 3 or more"
            )
        return self

    @property
    def halvings(self) -> Shape:
        strides = (self.space_to_depth, *(self.strides or ((2, 2, 2),) * self.depth))
        z, y, x = (sum(stride[axis] == 2 for stride in strides) for axis in range(3))
        return z, y, x

    def build(self) -> PlainUNet:
        return PlainUNet(
            self.in_channels,
            self.out_channels,
            self.filters,
            self.depth,
            self.strides,
            self.kernels,
            space_to_depth=self.space_to_depth,
            refinement=self.refinement,
            deep_supervision=self.deep_supervision,
            dirac=self.initialisation == "dirac",
        )

"""Residual encoder of strips, circular in azimuth.

A strip that is turned by a multiple of the stride gives features that are turned by as many tokens:
convolutions wrap around the hole, and group norms do not know the azimuth.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vesuv.curves.config import DetectorConfig
from vesuv.curves.strips import CHANNELS

STEM_STRIDE = (2, 4)
_GROUP = 8
"""Channels of a group of the norms."""


class CircularConv(nn.Module):
    """Convolution that wraps around the hole; in depth, the first and last row go on."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], stride: tuple[int, int]):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, bias=False)
        self.margins = [(edge - 1) // 2 for edge in size]

    def forward(self, features: Tensor) -> Tensor:
        down, right = self.margins
        if right:
            features = F.pad(features, (right, right, 0, 0), mode="circular")
        if down:
            features = F.pad(features, (0, 0, down, down), mode="replicate")
        output: Tensor = self.conv(features)
        return output


class ResidualBlock(nn.Module):
    """Two convolutions with norms, added to their input."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.first = CircularConv(inputs, outputs, (3, 3), stride)
        self.first_norm = nn.GroupNorm(outputs // _GROUP, outputs)
        self.second = CircularConv(outputs, outputs, (3, 3), (1, 1))
        self.second_norm = nn.GroupNorm(outputs // _GROUP, outputs)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != (1, 1):
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        inner = F.relu(self.first_norm(self.first(features)))
        inner = self.second_norm(self.second(inner))
        return F.relu(inner + self.shortcut(features))


class Encoder(nn.Module):
    """Strips (b, 2, rows, columns) to features (b, width, rows / stride, columns / stride)."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        channels = config.filters[0]
        self.stem = CircularConv(CHANNELS, channels, (7, 9), STEM_STRIDE)
        self.stem_norm = nn.GroupNorm(channels // _GROUP, channels)
        stages: list[nn.Module] = []
        for outputs, blocks, stride in zip(
            config.filters, config.blocks, config.strides, strict=True
        ):
            for index in range(blocks):
                step = stride if index == 0 else (1, 1)
                stages.append(ResidualBlock(channels, outputs, step))
                channels = outputs
        self.stages = nn.Sequential(*stages)
        self.project = nn.Conv2d(channels, config.width, 1)

    def forward(self, strips: Tensor) -> Tensor:
        features = F.relu(self.stem_norm(self.stem(strips)))
        tokens: Tensor = self.project(self.stages(features))
        return tokens


def num_layers(config: DetectorConfig) -> int:
    """Return the number of convolutions with weights along the longest path, with the last."""
    return 2 + 2 * sum(config.blocks)


def position_codes(width: int, rows: int, columns: int) -> Tensor:
    """Return codes of the places of tokens, (rows * columns, width).

    The first half codes the depth by sines of growing period; the second half codes the azimuth by
    harmonics of the circle, so that the last column is the neighbour of the first.
    """
    half = width // 2
    depth = depth_codes((torch.arange(rows) + 0.5) / rows, half)
    angle = torch.arange(columns) * (2 * math.pi / columns)
    order = torch.arange(1, half // 2 + 1)
    azimuth = torch.cat([torch.cos(angle[:, None] * order), torch.sin(angle[:, None] * order)], 1)
    both = [depth[:, None].expand(-1, columns, -1), azimuth[None].expand(rows, -1, -1)]
    return torch.cat(both, dim=-1).reshape(rows * columns, width)


def depth_codes(depth: Tensor, width: int) -> Tensor:
    """Return sines and cosines of depths from 0 to 1, (..., width)."""
    frequency = math.pi * 40.0 ** (torch.arange(width // 2, device=depth.device) / (width // 2))
    angle = depth[..., None] * frequency
    return torch.cat([torch.sin(angle), torch.cos(angle)], dim=-1)

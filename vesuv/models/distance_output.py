"""Output of signed distances, which a network has in training only."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vesuv.models.heads import output_layer, voxels_per_output


def add_distance_output(network: nn.Module, channels: int) -> None:
    """Let a network return signed distances behind its logits while it is in training mode.

    They come from the features that the output layer reads, by a convolution of the same kernel
    edges whose parameters belong to that layer: `distance_weight` and `distance_bias`, zeros at
    first. In evaluation mode the network is the same as without them.

    Args:
        network: One of the networks of this package.
        channels: Distances a voxel.
    """
    layer = output_layer(network)
    outputs = channels * voxels_per_output(network)
    weight = layer.weight.new_zeros((outputs, layer.in_channels, *layer.kernel_size))
    layer.distance_weight = nn.Parameter(weight)
    layer.distance_bias = nn.Parameter(layer.weight.new_zeros(outputs))
    kind = type(layer)
    layer.__class__ = type(f"{kind.__name__}WithDistances", (_WithDistances, kind), {})


class _WithDistances(nn.Module):
    """First base of an output layer that keeps its own parameters' names."""

    distance_weight: nn.Parameter
    distance_bias: nn.Parameter

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = super().forward(features)
        if not self.training:
            return logits
        padding = [edge // 2 for edge in self.distance_weight.shape[2:]]
        distances = F.conv3d(features, self.distance_weight, self.distance_bias, padding=padding)
        return torch.cat([logits, distances], dim=1)

"""Network and losses of a training, from the configuration."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import torch
from torch import nn

from vesuv.config import Config
from vesuv.config.training import RuntimeConfig
from vesuv.losses import build_losses, num_distances
from vesuv.losses.compound import Compound
from vesuv.models import build_model, recompute_levels
from vesuv.models.distance_output import add_distance_output
from vesuv.types import Spacing


def build_training_network(config: Config) -> nn.Module:
    """Build the network of the configuration, with the further outputs that its losses need."""
    network = build_model(config.model)
    channels = num_distances(config.loss, config.terms, config.labels.targets)
    if channels:
        add_distance_output(network, channels)
    return network


def memory_format(runtime: RuntimeConfig) -> torch.memory_format:
    """Return the order in which weights and patches lie in memory."""
    return torch.channels_last_3d if runtime.channels_last else torch.contiguous_format


def place_network(network: nn.Module, runtime: RuntimeConfig, device: torch.device) -> nn.Module:
    """Move a network to the device where it trains, in the order and with the memory of runtime."""
    recompute_levels(network, runtime.recompute_levels)
    return network.to(device).to(memory_format=memory_format(runtime))  # type: ignore[call-overload, no-any-return]


def build_compound(config: Config, spacings: Sequence[Spacing] = ()) -> Compound:
    """Build the losses of the configuration.

    Args:
        config: The whole configuration.
        spacings: Voxel edges (z, y, x) of each training case; losses with distances take the
            median.
    """
    z, y, x = map(statistics.median, zip(*spacings, strict=True)) if spacings else (1.0,) * 3
    losses = build_losses(config.loss, config.terms, (z, y, x))
    return Compound(losses, config.labels.targets, config.model.out_channels)

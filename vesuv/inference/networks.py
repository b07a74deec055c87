"""Trained networks, each with the configuration and normalizer of its predictions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from vesuv.config import Config
from vesuv.errors import InputError
from vesuv.models import build_model
from vesuv.runs.checkpoints import Checkpoint, load_weights
from vesuv.transforms.normalize import Normalizer


@dataclass(frozen=True)
class TrainedNetwork:
    """A network on its device, which returns logits (b, k, z, y, x)."""

    network: nn.Module
    config: Config
    normalizer: Normalizer
    source: str
    """Origin of the weights, for messages."""

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, device: torch.device) -> TrainedNetwork:
        """Build a checkpoint's network on `device`, in evaluation mode.

        Raises:
            InputError: The weights belong to another network.
        """
        with torch.device("meta"):  # checks the shapes before any memory is allocated
            load_weights(_build_network(checkpoint), checkpoint, assign=True)
        network = _build_network(checkpoint)
        load_weights(network, checkpoint)
        normalizer = Normalizer.of(checkpoint.normalizer)
        source = str(checkpoint.path)
        return cls(network.to(device).eval(), checkpoint.config, normalizer, source)


def _build_network(checkpoint: Checkpoint) -> nn.Module:
    try:
        return build_model(checkpoint.config.model)
    except InputError as fault:
        raise InputError(f"{checkpoint.path}: {fault}") from None

"""A trained network with what its predictions depend on beside its weights."""

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
    """A network on its device; it returns logits (b, k, z, y, x)."""

    network: nn.Module
    config: Config
    normalizer: Normalizer
    source: str
    """Where the weights are from, for messages."""

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, device: torch.device) -> TrainedNetwork:
        """Build a checkpoint's network on `device`, in evaluation mode.

        Raises:
            InputError: The weights are another network's.
        """
        with torch.device("meta"):  # before memory is taken for whatever the file says
            load_weights(_built(checkpoint), checkpoint, assign=True)
        network = _built(checkpoint)
        load_weights(network, checkpoint)
        normalizer = Normalizer.of(checkpoint.normalizer)
        source = str(checkpoint.path)
        return cls(network.to(device).eval(), checkpoint.config, normalizer, source)


def _built(checkpoint: Checkpoint) -> nn.Module:
    try:
        return build_model(checkpoint.config.model)
    except InputError as fault:
        raise InputError(f"{checkpoint.path}: {fault}") from None

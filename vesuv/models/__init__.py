"""Networks by the name that `model.name` gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from vesuv.config.network import ModelConfig
from vesuv.errors import InputError
from vesuv.models.heads import activate, initialise_output_bias
from vesuv.models.monai_networks import build_dynunet, build_mednext, build_segresnet
from vesuv.models.plain_unet import PlainUNet, build_plain_unet

MODELS: dict[str, Callable[[Any], nn.Module]] = {
    "plain_unet": build_plain_unet,
    "dynunet": build_dynunet,
    "segresnet": build_segresnet,
    "mednext": build_mednext,
}


def build_model(config: ModelConfig) -> nn.Module:
    """Build the network that the `model` section names; it returns logits (b, k, z, y, x).

    Raises:
        InputError: There is not memory enough for its weights.
    """
    try:
        return MODELS[config.name](config)
    except (RuntimeError, MemoryError, OverflowError) as fault:
        reason = " ".join(str(fault).split()) or type(fault).__name__
        raise InputError(
            f"model: {config.name} of this size cannot be built ({reason:.160}); make it smaller"
        ) from None


def recompute_levels(network: nn.Module, levels: int) -> None:
    """Let backward compute the activations of the top levels again instead of keeping them.

    Args:
        network: A network of this package.
        levels: Levels from the top, where a voxel costs most; 0 keeps everything.

    Raises:
        InputError: The network cannot do it.
    """
    if isinstance(network, PlainUNet):
        network.recomputed_levels = levels
    elif levels:
        raise InputError(
            f"runtime.recompute_levels: only model.name=plain_unet can, found "
            f"{type(network).__name__}; set it to 0 and try runtime.accumulate"
        )


__all__ = [
    "MODELS",
    "PlainUNet",
    "activate",
    "build_model",
    "initialise_output_bias",
    "recompute_levels",
]

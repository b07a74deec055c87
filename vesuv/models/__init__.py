"""Networks by their name in `model.name`; each file holds one network with its section."""

from __future__ import annotations

from torch import nn

from vesuv.config.model import NetworkConfig
from vesuv.errors import InputError
from vesuv.models.dynunet import DynUNetConfig
from vesuv.models.mednext import MedNeXtConfig
from vesuv.models.plain_conv_unet import PlainConvUNetConfig
from vesuv.models.plain_unet import PlainUNet, PlainUNetConfig
from vesuv.models.residual_encoder_unet import ResidualEncoderUNetConfig
from vesuv.models.segresnet import SegResNetConfig
from vesuv.models.stages import recompute_stages

NETWORKS: dict[str, type[NetworkConfig]] = {
    "plain_unet": PlainUNetConfig,
    "dynunet": DynUNetConfig,
    "segresnet": SegResNetConfig,
    "mednext": MedNeXtConfig,
    "plain_conv_unet": PlainConvUNetConfig,
    "residual_encoder_unet": ResidualEncoderUNetConfig,
}
"""Name in the configuration -> section that builds the network."""


def build_model(config: NetworkConfig) -> nn.Module:
    """Build the network of the `model` section; it returns logits (b, k, z, y, x).

    Raises:
        InputError: The memory is too small for its weights.
    """
    try:
        return config.build()
    except (RuntimeError, MemoryError, OverflowError) as fault:
        reason = " ".join(str(fault).split()) or type(fault).__name__
        raise InputError(
            f"model: {config.name} of this size cannot be built ({reason:.160}); make it smaller"
        ) from None


def recompute_levels(network: nn.Module, levels: int) -> None:
    """Recompute the activations of the top levels in backward (gradient checkpointing).

    Args:
        network: A network of this package.
        levels: Levels from the top, where activations are largest; 0 recomputes none.

    Raises:
        InputError: The network can recompute none.
    """
    if isinstance(network, PlainUNet):
        network.recomputed_levels = levels
    elif levels and not recompute_stages(network, levels):
        raise InputError(
            "runtime.recompute_levels: only model.name=plain_unet, plain_conv_unet and "
            f"residual_encoder_unet can, found {type(network).__name__}; set it to 0 and try "
            "runtime.accumulate"
        )


__all__ = ["NETWORKS", "PlainUNet", "build_model", "recompute_levels"]

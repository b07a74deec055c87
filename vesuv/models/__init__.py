"""Networks by the name that `model.name` gives them: one a file, with its section."""

from __future__ import annotations

from torch import nn

from vesuv.config.model import NetworkConfig
from vesuv.errors import InputError
from vesuv.models.dynunet import DynUNetConfig
from vesuv.models.mednext import MedNeXtConfig
from vesuv.models.plain_unet import PlainUNet, PlainUNetConfig
from vesuv.models.segresnet import SegResNetConfig

NETWORKS: dict[str, type[NetworkConfig]] = {
    "plain_unet": PlainUNetConfig,
    "dynunet": DynUNetConfig,
    "segresnet": SegResNetConfig,
    "mednext": MedNeXtConfig,
}
"""Name in the configuration -> section that builds the network."""


def build_model(config: NetworkConfig) -> nn.Module:
    """Build the network of the `model` section; it returns logits (b, k, z, y, x).

    Raises:
        InputError: There is not memory enough for its weights.
    """
    try:
        return config.build()
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


__all__ = ["NETWORKS", "PlainUNet", "build_model", "recompute_levels"]

"""Features of a network's encoder, level by level."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vesuv.errors import InputError
from vesuv.models.plain_unet import PlainUNet


@torch.no_grad()
def encoder_features(network: nn.Module, image: Tensor) -> list[Tensor]:
    """Return the features of each level of the encoder, (b, c, z, y, x), finest first.

    Args:
        network: A network of this package, or one of nnU-Net's.
        image: (b, c, z, y, x).

    Raises:
        InputError: The network's encoder has no levels that are known.
    """
    with _outputs(_levels(network)) as features:
        network(image)
    return features


def _levels(network: nn.Module) -> list[nn.Module]:
    if isinstance(network, PlainUNet):
        return [*network.encoder, network.bottleneck]
    stages = dict(network.named_modules()).get("encoder.stages")
    if stages is None:
        raise InputError(
            "model.name: features are read of plain_unet, plain_conv_unet and "
            f"residual_encoder_unet, found {type(network).__name__}; use one of them"
        )
    return list(stages.children())


@contextmanager
def _outputs(modules: list[nn.Module]) -> Iterator[list[Tensor]]:
    """Collect the outputs of modules in the order in which they run."""
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        outputs.append(output.detach())

    hooks = [module.register_forward_hook(keep) for module in modules]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()

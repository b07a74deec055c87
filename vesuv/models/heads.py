"""Logits into probabilities and classes, and the initial bias of the output layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vesuv.config.labels import Targets
from vesuv.models.plain_unet import PlainUNet

SMALLEST_FRACTION = 1e-4
"""Lower bound of a class's fraction in the initial bias, which would be infinite at 0."""
_COARSE_OUTPUTS = ("coarse_outputs.", "decoder.seg_layers.")
"""Names of the output layers of deep supervision, in the plain U-Net and in nnU-Net's networks."""


def activate(logits: Tensor, *, overlap: bool = False) -> Tensor:
    """Turn logits (b, k, z, y, x) into probabilities: sigmoid of one logit, softmax of several.

    Args:
        logits: Output of a network.
        overlap: Whether the channels are regions, which may overlap: a sigmoid each.
    """
    if overlap or logits.shape[1] == 1:
        return torch.sigmoid(logits)
    return torch.softmax(logits, dim=1)


def predicted_classes(logits: Tensor, targets: Targets, threshold: float) -> Tensor:
    """Turn logits (b, k, z, y, x) into class indices (b, z, y, x).

    Args:
        logits: Output of a network.
        targets: What it predicts.
        threshold: Smallest probability of foreground, or of each region.
    """
    if targets.overlap:
        probs = activate(logits, overlap=True)
        classes = torch.zeros_like(probs[:, 0], dtype=torch.int64)
        for channel, index in enumerate(targets.written):
            classes[probs[:, channel] >= threshold] = index
        return classes
    if logits.shape[1] == 1:
        return (activate(logits)[:, 0] >= threshold).to(torch.int64)
    return logits.argmax(dim=1)


def foreground_probability(probs: Tensor, *, overlap: bool = False) -> Tensor:
    """Return the probability of any foreground, (b, z, y, x), of (b, k, z, y, x).

    Args:
        probs: Result of `activate`.
        overlap: Whether the channels are regions; then it is that of the likeliest region.
    """
    if overlap:
        return probs.amax(dim=1)
    return probs[:, 0] if probs.shape[1] == 1 else 1.0 - probs[:, 0]


def initialise_output_bias(
    network: nn.Module, class_fractions: Sequence[float], targets: Targets | None = None
) -> None:
    """Set the output layers' bias so that the initial prediction has the labels' class fractions.

    Args:
        network: One of the networks of this package.
        class_fractions: Share of valid voxels in each class, background first.
        targets: What the network predicts; None: the classes.

    Source:
        Lin et al. 2017, Focal Loss for Dense Object Detection, section 3.3.
    """
    biases = [layer.bias for layer in (output_layer(network), *coarse_output_layers(network))]
    out_channels = output_layer(network).out_channels // voxels_per_output(network)
    fractions = [_bounded(fraction) for fraction in class_fractions]
    if targets is not None and targets.overlap:
        shares = [sum(class_fractions[k] for k in members) for members in targets.members]
        start = [_log_odds(share) for share in shares]
    elif out_channels == 1:
        start = [_log_odds(class_fractions[1])]
    else:
        assert out_channels == len(fractions), f"{out_channels} logits, {len(fractions)} fractions"
        start = [math.log(fraction) for fraction in fractions]
    with torch.no_grad():
        for bias in biases:
            assert bias is not None, "an output layer has no bias"
            bias.copy_(torch.tensor(start).repeat_interleave(len(bias) // len(start)))


def voxels_per_output(network: nn.Module) -> int:
    """Return the number of voxels whose logits one output of the last convolution holds."""
    return math.prod(network.block) if isinstance(network, PlainUNet) else 1


def _bounded(fraction: float) -> float:
    return min(max(fraction, SMALLEST_FRACTION), 1.0 - SMALLEST_FRACTION)


def _log_odds(fraction: float) -> float:
    return math.log(_bounded(fraction) / (1.0 - _bounded(fraction)))


def output_layer(network: nn.Module) -> nn.Conv3d | nn.ConvTranspose3d:
    """Return the 1x1x1 convolution that computes the logits: the last one in the network."""
    layers = [
        module
        for module in network.modules()
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d))
        and tuple(module.kernel_size) == (1, 1, 1)
    ]
    return layers[-1]


def coarse_output_layers(network: nn.Module) -> list[nn.Conv3d]:
    """Return the 1x1x1 convolutions of the coarser scales, which deep supervision adds."""
    last = output_layer(network)
    return [
        module
        for name, module in network.named_modules()
        if name.startswith(_COARSE_OUTPUTS) and isinstance(module, nn.Conv3d) and module is not last
    ]

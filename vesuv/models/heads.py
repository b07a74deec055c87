"""Logits into probabilities and classes, and the initial bias of the output layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

SMALLEST_FRACTION = 1e-4
"""Lower bound of a class's fraction in the initial bias, which would be infinite at 0."""


def activate(logits: Tensor) -> Tensor:
    """Turn logits (b, k, z, y, x) into probabilities: sigmoid of one logit, softmax of several."""
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)


def predicted_classes(logits: Tensor, threshold: float) -> Tensor:
    """Turn logits (b, k, z, y, x) into class indices (b, z, y, x)."""
    if logits.shape[1] == 1:
        return (activate(logits)[:, 0] >= threshold).to(torch.int64)
    return logits.argmax(dim=1)


def foreground_probability(probs: Tensor) -> Tensor:
    """Return the probability of any foreground class, (b, z, y, x), of (b, k, z, y, x)."""
    return probs[:, 0] if probs.shape[1] == 1 else 1.0 - probs[:, 0]


def initialise_output_bias(network: nn.Module, class_fractions: Sequence[float]) -> None:
    """Set the output layer's bias so that the initial prediction has the labels' class fractions.

    Args:
        network: One of the networks of this package.
        class_fractions: Share of valid voxels in each class, background first.

    Source:
        Lin et al. 2017, Focal Loss for Dense Object Detection, section 3.3.
    """
    bias = output_layer(network).bias
    assert bias is not None, "the output layer has no bias"
    fractions = [min(max(f, SMALLEST_FRACTION), 1.0 - SMALLEST_FRACTION) for f in class_fractions]
    if len(bias) == 1:
        foreground = fractions[1]
        start = [math.log(foreground / (1.0 - foreground))]
    else:
        assert len(bias) == len(fractions), f"{len(bias)} logits, {len(fractions)} fractions"
        start = [math.log(fraction) for fraction in fractions]
    with torch.no_grad():
        bias.copy_(torch.tensor(start))


def output_layer(network: nn.Module) -> nn.Conv3d | nn.ConvTranspose3d:
    """Return the 1x1x1 convolution that computes the logits: the last one in the network."""
    layers = [
        module
        for module in network.modules()
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d))
        and tuple(module.kernel_size) == (1, 1, 1)
    ]
    return layers[-1]

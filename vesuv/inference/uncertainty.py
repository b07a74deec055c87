"""Uncertainty of a mean of probabilities: the mutual information of prediction and predictor.

Source:
    Lin, Divergence measures based on the Shannon entropy, IEEE Trans. Inf. Theory 1991, eq. 5.1:
    the entropy of a weighted mean of distributions minus the weighted mean of their entropies.
    Houlsby et al., Bayesian active learning for classification and preference learning, 2011: the
    same as the information that a prediction gives about the model, here about which network,
    view and window made it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

UNCERTAINTY_STEPS = 255
"""Steps from no to the largest uncertainty where it is stored in one byte a voxel."""


def entropy(probs: Tensor, *, overlap: bool = False) -> Tensor:
    """Return the entropy of each voxel in bits.

    Args:
        probs: (k, ...), the result of `vesuv.models.heads.activate` for one image.
        overlap: Whether the channels are regions; their entropies are summed.
    """
    terms = torch.special.entr(probs)
    if overlap or len(probs) == 1:
        terms = terms + torch.special.entr(1.0 - probs)
    bits: Tensor = terms.sum(dim=0) / math.log(2.0)
    return bits


def append_entropy(probs: Tensor, *, overlap: bool = False) -> Tensor:
    """Return probabilities (b, k, z, y, x) with their entropy as one more channel.

    Every mean of such tensors, over views, windows and networks, holds the mean probabilities and
    the mean entropy, which `mutual_information` needs.
    """
    bits = entropy(probs.transpose(0, 1), overlap=overlap)
    return torch.cat([probs, bits[:, None]], dim=1)


def mutual_information(mean: Tensor, *, overlap: bool = False) -> Tensor:
    """Return the entropy of the mean minus the mean entropy, (z, y, x), in bits, at least 0.

    It is 0 where all networks, views and overlapping windows agree. It is at most 1 for one
    foreground class, log2 of the number of classes for several, and the number of regions.

    Args:
        mean: Mean of results of `append_entropy`, (k + 1, z, y, x).
        overlap: Whether the channels are regions.
    """
    return (entropy(mean[:-1], overlap=overlap) - mean[-1]).clamp_(min=0.0)


def largest_uncertainty(num_channels: int, *, overlap: bool = False) -> float:
    """Return the largest mutual information of networks with this number of channels, in bits."""
    return float(num_channels) if overlap or num_channels == 1 else math.log2(num_channels)


def quantise_uncertainty(bits: Tensor, largest: float) -> Tensor:
    """Return steps of `largest` / 255, uint8."""
    return (bits * (UNCERTAINTY_STEPS / largest)).round_().clamp_(0, UNCERTAINTY_STEPS).byte()


def dequantise_uncertainty(steps: Tensor, largest: float) -> Tensor:
    """Return bits, float32."""
    return steps.float() * (largest / UNCERTAINTY_STEPS)

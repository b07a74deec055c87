"""Probabilities quantised to one byte a voxel, from which all masks are made.

A level is the number of thresholds 1/200, 2/200 … 1 that a float32 probability reaches; it stands
for the middle of its step. A threshold that is a multiple of 0.005 therefore selects the same
voxels as in float32; any other threshold acts as the nearest such multiple.

Selection stores probabilities as levels, and every mask is made from them. So the mask that
selection scores is the mask that `predict` writes, for any threshold, chain or number of classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vesuv.config.data import PROBABILITY_STEPS

_CHUNK = 1 << 16  # voxels of one pass; they fit into the processor's cache


def quantise(probs: Tensor, *, overlap: bool = False) -> Tensor:
    """Return the levels (k, z, y, x), uint8, of probabilities (k, z, y, x).

    With several classes, the likeliest class gets one level more where quantisation would make
    another class equal, so that the likeliest class stays the same.

    Args:
        probs: Probabilities.
        overlap: Whether the channels are regions, of which none is the likeliest.
    """
    levels = torch.empty(probs.shape, dtype=torch.uint8)
    source, target = probs.reshape(-1), levels.view(-1)
    for start in range(0, len(target), _CHUNK):
        part = slice(start, start + _CHUNK)
        target[part] = _count_thresholds(source[part])
    if len(levels) > 1 and not overlap:
        likeliest = probs.argmax(dim=0, keepdim=True)
        highest = levels.gather(0, likeliest)
        is_tie = (levels == highest).sum(dim=0, keepdim=True) > 1
        levels.scatter_(0, likeliest, highest + is_tie)
    return levels


def _count_thresholds(probs: Tensor) -> Tensor:
    """Return how many of the thresholds 1/200, 2/200 … each float32 probability reaches.

    Near a threshold the rounded product may be wrong by one; the quotients, which are the
    thresholds themselves, correct it.
    """
    counts = (probs * PROBABILITY_STEPS).floor_()
    counts -= (counts / PROBABILITY_STEPS > probs).float()
    counts += ((counts + 1) / PROBABILITY_STEPS <= probs).float()
    return counts


def dequantise(levels: Tensor) -> Tensor:
    """Return float32 probabilities: the middle of the step of each level, and 1 for the last."""
    return levels.float().add_(0.5).div_(PROBABILITY_STEPS).clamp_(max=1.0)


def round_to_steps(probs: Tensor, *, overlap: bool = False) -> Tensor:
    """Round probabilities (k, z, y, x) to the middle of their steps; idempotent."""
    return dequantise(quantise(probs, overlap=overlap))

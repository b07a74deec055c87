"""Probabilities as one byte a voxel: what masks are made of.

A byte counts the thresholds 1/200, 2/200 … 1 that a float32 probability reaches, and stands for the
middle of its step. A threshold that is a multiple of 0.005 therefore selects the very voxels that
it selects in float32; any other threshold counts as the nearest one.

Selection keeps probabilities in this form, and every mask is made from it, so that the mask that is
judged is the mask that is written whatever cut, chain or number of classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vesuv.config.data import PROBABILITY_STEPS

_CHUNK = 1 << 16  # voxels that are compared at once; they stay in the processor's cache


def quantise(probs: Tensor) -> Tensor:
    """Return the levels (k, z, y, x), uint8, of probabilities (k, z, y, x).

    With several classes the likeliest keeps a lead of a level where another would draw level, so
    that the likeliest class stays the same.
    """
    levels = torch.empty(probs.shape, dtype=torch.uint8)
    source, target = probs.reshape(-1), levels.view(-1)
    for start in range(0, len(target), _CHUNK):
        part = slice(start, start + _CHUNK)
        target[part] = _reached(source[part])
    if len(levels) > 1:
        likeliest = probs.argmax(dim=0, keepdim=True)
        lead = levels.gather(0, likeliest)
        drawn = (levels == lead).sum(dim=0, keepdim=True) > 1
        levels.scatter_(0, likeliest, lead + drawn)
    return levels


def _reached(probs: Tensor) -> Tensor:
    """Return how many of the thresholds 1/200, 2/200 … each float32 probability reaches.

    The product is rounded, so it may be one off beside a threshold; a quotient is the threshold.
    """
    reached = (probs * PROBABILITY_STEPS).floor_()
    reached -= (reached / PROBABILITY_STEPS > probs).float()
    reached += ((reached + 1) / PROBABILITY_STEPS <= probs).float()
    return reached


def dequantise(levels: Tensor) -> Tensor:
    """Return float32 probabilities: the middle of each level's step, and 1 for the last level."""
    return levels.float().add_(0.5).div_(PROBABILITY_STEPS).clamp_(max=1.0)


def in_steps(probs: Tensor) -> Tensor:
    """Return probabilities (k, z, y, x) moved to the middle of their steps; twice is as once."""
    return dequantise(quantise(probs))

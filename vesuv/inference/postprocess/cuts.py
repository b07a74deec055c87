"""Steps that turn probabilities into a mask: threshold and hysteresis."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from pydantic import model_validator

from vesuv.config.data import ProbabilityThreshold
from vesuv.config.postprocess import Step
from vesuv.data.components import label_components
from vesuv.types import Array, Mask, Shape, Spacing


class Threshold(Step):
    """Foreground where the probability reaches `value`; only as the first step."""

    cuts: ClassVar[bool] = True
    name: Literal["threshold"] = "threshold"
    value: ProbabilityThreshold
    """Smallest probability of the foreground."""

    def halo(self, _spacing: Spacing) -> Shape:
        return 0, 0, 0

    def __call__(self, volume: Array, _spacing: Spacing) -> Mask:
        return threshold(volume, self.value)


class Hysteresis(Step):
    """Foreground: 26-connected components of probabilities from `low`, with a voxel from `high`.

    Only as the first step.
    """

    cuts: ClassVar[bool] = True
    is_global: ClassVar[bool] = True
    name: Literal["hysteresis"] = "hysteresis"
    low: ProbabilityThreshold
    """Smallest probability of a component's voxels."""
    high: ProbabilityThreshold
    """Smallest probability of at least one voxel of a component; above `low`."""

    @model_validator(mode="after")
    def _ordered(self) -> Hysteresis:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, found {self.low} and {self.high}")
        return self

    def __call__(self, volume: Array, _spacing: Spacing) -> Mask:
        return hysteresis(volume, self.low, self.high)

    def __str__(self) -> str:
        return f"hysteresis {self.low:g}/{self.high:g}"


def threshold(probs: Array, value: float) -> Mask:
    """Return a mask of the voxels whose probability is at least `value`.

    Args:
        probs: Floats, compared in their own precision as tensors are; or uint8 in units of 1/255.
        value: In [0, 1].
    """
    if probs.dtype == np.uint8:
        return probs >= np.uint8(math.ceil(value * 255 - 1e-9))
    mask: Mask = probs >= value
    return mask


def hysteresis(probs: Array, low: float, high: float) -> Mask:
    """Return the 26-connected components of voxels from `low` that hold a voxel from `high`.

    Args:
        probs: (z, y, x), as for `threshold`.
        low: Smallest probability of a component's voxels.
        high: Smallest probability of at least one voxel of a component; at least `low`.

    Source:
        Canny, A computational approach to edge detection, PAMI 1986.
    """
    labels, num = label_components(threshold(probs, low), 26)
    reaches_high = np.zeros(num + 1, bool)
    reaches_high[labels[threshold(probs, high)]] = True
    return reaches_high[labels]

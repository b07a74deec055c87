"""Where probabilities become a mask."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from pydantic import model_validator

from vesuv.config.data import ProbabilityThreshold
from vesuv.config.postprocess import Step
from vesuv.data.components import label_components
from vesuv.types import Array, Mask


class Threshold(Step):
    """Foreground where the probability reaches `value`; only as the first step."""

    cuts: ClassVar[bool] = True
    name: Literal["threshold"] = "threshold"
    value: ProbabilityThreshold

    def __call__(self, volume: Array) -> Mask:
        return threshold(volume, self.value)


class Hysteresis(Step):
    """Of the 26-connected components that reach `low` those that reach `high` somewhere.

    Only as the first step.
    """

    cuts: ClassVar[bool] = True
    name: Literal["hysteresis"] = "hysteresis"
    low: ProbabilityThreshold
    high: ProbabilityThreshold

    @model_validator(mode="after")
    def _ordered(self) -> Hysteresis:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, found {self.low} and {self.high}")
        return self

    def __call__(self, volume: Array) -> Mask:
        return hysteresis(volume, self.low, self.high)

    def __str__(self) -> str:
        return f"hysteresis {self.low:g}/{self.high:g}"


def threshold(probs: Array, value: float) -> Mask:
    """Mark the voxels whose probability is at least `value`.

    Args:
        probs: Floats, compared in their own precision as tensors are; or uint8 counting 255ths.
        value: In [0, 1].
    """
    if probs.dtype == np.uint8:
        return probs >= np.uint8(math.ceil(value * 255 - 1e-9))
    found: Mask = probs >= value
    return found


def hysteresis(probs: Array, low: float, high: float) -> Mask:
    """Keep the 26-connected components of what reaches `low` that reach `high` somewhere.

    Args:
        probs: As for `threshold`, (z, y, x).
        low: Bounds a component's extent.
        high: At least `low`; a component without such a voxel is left out.

    Source:
        Canny, A computational approach to edge detection, PAMI 1986.
    """
    labels, num = label_components(threshold(probs, low), 26)
    kept = np.zeros(num + 1, bool)
    kept[labels[threshold(probs, high)]] = True
    return kept[labels]

"""Where probabilities become a mask."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesuv.data.components import Mask, label_components


def threshold(probs: NDArray[Any], value: float) -> Mask:
    """Mark the voxels whose probability is at least `value`.

    Args:
        probs: Floats, compared in their own precision as tensors are; or uint8 counting 255ths.
        value: In [0, 1].
    """
    if probs.dtype == np.uint8:
        return probs >= np.uint8(math.ceil(value * 255 - 1e-9))
    found: Mask = probs >= value
    return found


def hysteresis(probs: NDArray[Any], low: float, high: float) -> Mask:
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

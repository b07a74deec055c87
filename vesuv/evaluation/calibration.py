"""Expected calibration error: how far probabilities are from frequencies."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vesuv.evaluation.run_graph import Mask

NUM_BINS = 15


def expected_calibration_error(
    probs: NDArray[np.floating], label: Mask, valid: Mask, num_bins: int = NUM_BINS
) -> float:
    """Return the mean over judged voxels of |probability - frequency| of their bin.

    Args:
        probs: Foreground probability in [0, 1], any shape.
        label: Foreground, same shape.
        valid: False where the voxel is not judged.
        num_bins: Bins of equal width over [0, 1]; a probability of 1 falls in the last.

    Returns:
        In [0, 1]; NaN when no voxel is judged.

    Source:
        Guo et al., On calibration of modern neural networks, ICML 2017, with the probability of
        the foreground in place of the confidence.
    """
    chosen, truth = probs[valid], label[valid]
    if len(chosen) == 0:
        return math.nan
    bins = np.minimum((chosen * num_bins).astype(np.int64), num_bins - 1)
    confidence = np.bincount(bins, weights=chosen, minlength=num_bins)
    frequency = np.bincount(bins, weights=truth, minlength=num_bins)
    return float(np.abs(confidence - frequency).sum() / len(chosen))

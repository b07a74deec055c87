"""Calibration: the difference between predicted probabilities and observed frequencies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesuv.types import Mask

NUM_BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Judged voxels in bins of equal width by their probability, of one volume or several."""

    voxels: NDArray[np.int64]
    """Number of voxels, (bins,)."""
    probability: NDArray[np.float64]
    """Sum of their probabilities, (bins,)."""
    foreground: NDArray[np.int64]
    """Number of voxels that are labelled foreground, (bins,)."""

    def __add__(self, other: Reliability) -> Reliability:
        """Pool two volumes."""
        return Reliability(
            self.voxels + other.voxels,
            self.probability + other.probability,
            self.foreground + other.foreground,
        )

    @property
    def error(self) -> float:
        """Expected calibration error: the mean over voxels of |probability - frequency|.

        In [0, 1]; NaN when no voxel is judged.
        """
        total = int(self.voxels.sum())
        if total == 0:
            return math.nan
        return float(np.abs(self.probability - self.foreground).sum() / total)


def reliability(
    probs: NDArray[np.floating], label: Mask, valid: Mask, num_bins: int = NUM_BINS
) -> Reliability:
    """Count the judged voxels of a volume.

    Args:
        probs: Foreground probability in [0, 1], any shape.
        label: Foreground, same shape.
        valid: False where the voxel is not judged.
        num_bins: Bins of equal width over [0, 1]; a probability of 1 falls in the last.
    """
    judged_probs, judged_label = probs[valid], label[valid]
    bins = _bins(judged_probs, num_bins)
    return Reliability(
        np.bincount(bins, minlength=num_bins),
        np.bincount(bins, weights=judged_probs, minlength=num_bins).astype(np.float64),
        np.bincount(bins[judged_label], minlength=num_bins),
    )


def counted_reliability(
    probs: NDArray[np.floating], label: Mask, voxels: NDArray[np.int64], num_bins: int = NUM_BINS
) -> Reliability:
    """Return `reliability` of judged voxels that are counted by probability and label.

    Args:
        probs: Foreground probability in [0, 1], (n,).
        label: Foreground, (n,).
        voxels: Number of voxels with this probability and label, (n,).
        num_bins: As for `reliability`.
    """
    bins = _bins(probs, num_bins)
    counts, probability, foreground = (
        np.bincount(bins, weights=weights, minlength=num_bins).astype(np.float64)
        for weights in (voxels, voxels * probs, voxels * label)
    )
    return Reliability(counts.astype(np.int64), probability, foreground.astype(np.int64))


def _bins(probs: NDArray[np.floating], num_bins: int) -> NDArray[np.int64]:
    return np.minimum((probs * num_bins).astype(np.int64), num_bins - 1)


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
    return reliability(probs, label, valid, num_bins).error

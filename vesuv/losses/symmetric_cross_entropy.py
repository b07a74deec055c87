"""Symmetric cross-entropy, which tolerates wrong labels."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vesuv.config.data import PositiveFloat
from vesuv.losses.prediction import Loss, Prediction
from vesuv.losses.voxelwise import focal_mean

LOG_ZERO = -4.0
"""Value of log(0) in the reverse cross-entropy; the source's choice."""


class SymmetricCrossEntropy(Loss):
    """Mean over valid voxels of alpha CE(p, y) + beta CE(y, p), with log 0 = -4.

    CE(p, y) is -log(p_y). CE(y, p) exchanges prediction and label; it equals 4 (1 - p_y), and a
    voxel with a wrong label adds at most 4. With regions it is the mean over the regions too. Range
    [0, inf); perfect mask 0 in the limit; constant one half alpha log(2) + 2 beta; without valid
    voxels 0.

    Source:
        Wang et al. 2019, Symmetric Cross Entropy for Robust Learning with Noisy Labels.
    """

    uses_global_sums: ClassVar[bool] = True
    alpha: PositiveFloat = 0.1
    """Weight of the cross-entropy."""
    beta: PositiveFloat = 1.0
    """Weight of the reverse cross-entropy."""

    def of(self, prediction: Prediction) -> Tensor:
        weight = prediction.valid.to(prediction.logits.dtype)
        cross_entropy = focal_mean(prediction, weight, gamma=0.0)
        reverse = -LOG_ZERO * _mean_error(prediction)
        return self.alpha * cross_entropy + self.beta * reverse


def _mean_error(prediction: Prediction) -> Tensor:
    """Mean over valid voxels of 1 - p_y."""
    missed = prediction.num_labelled - prediction.overlap
    if prediction.is_sigmoid:
        num_channels = prediction.num_targets
        false = prediction.probs_sum - prediction.overlap
    else:
        num_channels = 1
        background = ~prediction.target.any(dim=1, keepdim=True)
        false = (prediction.probs * background).sum()
    total = prediction.global_sum(missed.sum() + false.sum())
    return total / (prediction.total_valid.clamp_min(1) * num_channels)

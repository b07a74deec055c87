"""Tversky loss."""

from __future__ import annotations

import torch
from torch import Tensor

from vesuv.config.data import PositiveFloat
from vesuv.losses.overlap import OverlapLoss
from vesuv.losses.prediction import Prediction, ratio


class Tversky(OverlapLoss):
    """1 - (sum(p y) + s) / (sum(p y) + alpha sum(p (1 - y)) + beta sum((1 - p) y) + s).

    The mean over foreground classes. With alpha = beta = 1/2 it is the soft Dice loss. Range
    [0, 1]; perfect mask 0; a constant prediction c on foreground share f scores
    1 - c f / (c f + alpha c (1 - f) + beta (1 - c) f); without valid voxels 0.

    Source:
        Salehi et al. 2017, Tversky Loss Function for Image Segmentation Using 3D Fully
        Convolutional Deep Networks.
    """

    alpha: PositiveFloat = 0.3
    """Weight of false positives."""
    beta: PositiveFloat = 0.7
    """Weight of false negatives; above alpha, a missed voxel costs more than a false one."""

    def sums(self, prediction: Prediction) -> Tensor:
        return torch.stack([prediction.overlap, prediction.probs_sum, prediction.num_labelled])

    def score(self, sums: Tensor) -> Tensor:
        overlap, predicted, labelled = sums
        errors = self.alpha * (predicted - overlap) + self.beta * (labelled - overlap)
        return ratio(overlap + self.smooth, overlap + errors + self.smooth, empty=1.0)

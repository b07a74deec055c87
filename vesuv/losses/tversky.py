"""Tversky loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from vesuv.config.data import PositiveFloat
from vesuv.losses.prediction import Loss, Prediction, ratio


class Tversky(Loss):
    """1 - (sum(p y) + s) / (sum(p y) + alpha sum(p (1 - y)) + beta sum((1 - p) y) + s).

    The mean over foreground classes. With alpha = beta = 1/2 it is the soft Dice loss. Range
    [0, 1]; perfect mask 0; a constant prediction c on foreground share f scores
    1 - c f / (c f + alpha c (1 - f) + beta (1 - c) f); without valid voxels 0.

    Source:
        Salehi et al. 2017, Tversky Loss Function for Image Segmentation Using 3D Fully
        Convolutional Deep Networks.
    """

    uses_global_sums: ClassVar[bool] = True
    alpha: PositiveFloat = 0.3
    """Weight of false positives."""
    beta: PositiveFloat = 0.7
    """Weight of false negatives; above alpha, a missed voxel costs more than a false one."""
    smooth: float = Field(default=1e-5, ge=0.0)
    """The smoothing term s."""
    batch: bool = True
    """Sum over the whole batch, so that patches without foreground have a gradient too; false: the
    mean of one value for each patch with valid voxels."""

    @property
    def limits(self) -> tuple[float, float]:
        return 0.0, 1.0

    def of(self, prediction: Prediction) -> Tensor:
        sums = torch.stack([prediction.overlap, prediction.probs_sum, prediction.num_labelled])
        if self.batch:
            sums = prediction.global_sum(sums.sum(dim=1))
        overlap, predicted, labelled = sums
        errors = self.alpha * (predicted - overlap) + self.beta * (labelled - overlap)
        loss = 1 - ratio(overlap + self.smooth, overlap + errors + self.smooth, empty=1.0)
        if self.batch:
            return loss.mean()
        return prediction.mean_where(loss.mean(dim=1, keepdim=True), prediction.num_valid > 0)

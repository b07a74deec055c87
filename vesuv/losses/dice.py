"""Soft Dice."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from vesuv.losses.prediction import Loss, Prediction, ratio


class Dice(Loss):
    """1 - (2 sum(p y) + s) / (sum(p) + sum(y) + s), the mean over foreground classes.

    Range [0, 1]; perfect mask 0; a constant prediction c on foreground share f scores
    1 - 2 c f / (c + f); without valid voxels 0.

    Source:
        Milletari et al. 2016, V-Net, section 3, without squares in the denominator.
    """

    uses_global_sums: ClassVar[bool] = True
    smooth: float = Field(default=1e-5, ge=0.0)
    """The smoothing term s."""
    batch: bool = True
    """Sum over the whole batch, so that patches without foreground have a gradient too; false: the
    mean of one Dice for each patch with valid voxels."""

    @property
    def limits(self) -> tuple[float, float]:
        return 0.0, 1.0

    def of(self, prediction: Prediction) -> Tensor:
        overlap, total = prediction.overlap, prediction.probs_sum + prediction.num_labelled
        if self.batch:
            overlap, total = prediction.global_sum(
                torch.stack([overlap.sum(dim=0), total.sum(dim=0)])
            )
        loss = 1 - ratio(2 * overlap + self.smooth, total + self.smooth, empty=1.0)
        if self.batch:
            return loss.mean()
        return prediction.mean_where(loss.mean(dim=1, keepdim=True), prediction.num_valid > 0)

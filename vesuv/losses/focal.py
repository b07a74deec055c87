"""Focal loss."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from vesuv.config.data import PositiveFloat, Probability
from vesuv.losses.prediction import Loss, Prediction
from vesuv.losses.voxelwise import class_weight, focal_mean


class Focal(Loss):
    """Mean over valid voxels of alpha_y w_y (1 - p_y)**gamma (-log p_y).

    Range [0, inf); perfect mask 0; constant prediction one half at foreground share f:
    (alpha f + (1 - alpha)(1 - f)) 0.5**gamma log(2) without class weights; without valid voxels 0.

    Source:
        Lin et al. 2017, Focal Loss for Dense Object Detection, equation 5.
    """

    uses_global_sums: ClassVar[bool] = True
    gamma: float = Field(default=2.0, ge=0.0)
    """Exponent of (1 - p_y), which lowers the weight of voxels that are predicted well."""
    alpha: Probability = 0.5
    """Weight of every foreground class; the background's is 1 - alpha."""
    class_weights: tuple[PositiveFloat, ...] | None = None
    """Further weight of each class, background first; null: loss.class_weights, or 1 without
    them."""

    def of(self, prediction: Prediction) -> Tensor:
        background, *foreground = self.class_weights or (1.0,) * (1 + prediction.num_targets)
        weights = ((1 - self.alpha) * background, *(self.alpha * weight for weight in foreground))
        return focal_mean(prediction, class_weight(prediction, weights), self.gamma)

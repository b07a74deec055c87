"""Focal loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor

from vesuv.config.network import LossConfig
from vesuv.losses.prediction import Loss, Prediction
from vesuv.losses.voxelwise import class_weight, focal_mean


@dataclass(frozen=True)
class Focal(Loss):
    """Mean over valid voxels of alpha_y w_y (1 - p_y)**gamma (-log p_y).

    Range [0, inf); perfect mask 0; constant prediction one half at foreground share f:
    (alpha f + (1 - alpha)(1 - f)) 0.5**gamma log(2) without class weights; nothing valid 0.

    Args:
        gamma: Exponent that takes weight from voxels which are right already.
        alpha: Weight of every foreground class; the background has 1 - alpha.
        class_weights: Further weight of each class, background first; None: all 1.

    Source:
        Lin et al. 2017, Focal Loss for Dense Object Detection, equation 5.
    """

    pools: ClassVar[bool] = True
    gamma: float
    alpha: float
    class_weights: tuple[float, ...] | None

    @classmethod
    def from_config(cls, config: LossConfig) -> Self:
        """Build it from the loss section."""
        return cls(config.focal.gamma, config.focal.alpha, config.class_weights)

    def of(self, prediction: Prediction) -> Tensor:
        """Return the loss of one batch."""
        background, *foreground = self.class_weights or (1.0,) * prediction.num_classes
        weights = ((1 - self.alpha) * background, *(self.alpha * weight for weight in foreground))
        return focal_mean(prediction, class_weight(prediction, weights), self.gamma)

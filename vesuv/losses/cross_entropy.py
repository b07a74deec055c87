"""Cross-entropy."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vesuv.config.data import PositiveFloat
from vesuv.losses.prediction import Loss, Prediction
from vesuv.losses.voxelwise import class_weight, focal_mean


class CrossEntropy(Loss):
    """Mean over valid voxels of -w_y log(p_y).

    Range [0, inf); perfect mask 0 in the limit; constant prediction one half log(2) with weights 1;
    nothing valid 0. The mean divides by the number of voxels, not by the sum of their weights.

    Source:
        torch.nn.BCEWithLogitsLoss (`pos_weight`) for one logit, negative log-softmax otherwise.
    """

    pools: ClassVar[bool] = True
    positive_weight: PositiveFloat = 1.0
    """Weight of foreground voxels, on top of their class weight."""
    class_weights: tuple[PositiveFloat, ...] | None = None
    """Weight of each class, background first; null: those of loss.class_weights, else all 1."""

    def of(self, prediction: Prediction) -> Tensor:
        background, *foreground = self.class_weights or (1.0,) * prediction.num_classes
        weights = (background, *(self.positive_weight * weight for weight in foreground))
        return focal_mean(prediction, class_weight(prediction, weights), gamma=0.0)

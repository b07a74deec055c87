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
    without valid voxels 0. The mean divides by the number of voxels, not by the sum of weights.

    Source:
        torch.nn.BCEWithLogitsLoss (`pos_weight`) for one logit, negative log-softmax otherwise.
    """

    uses_global_sums: ClassVar[bool] = True
    positive_weight: PositiveFloat = 1.0
    """Factor on the class weight of foreground voxels."""
    class_weights: tuple[PositiveFloat, ...] | None = None
    """Weight of each class, background first; null: loss.class_weights, or 1 without them."""

    def of(self, prediction: Prediction) -> Tensor:
        background, *foreground = self.class_weights or (1.0,) * (1 + prediction.num_targets)
        weights = (background, *(self.positive_weight * weight for weight in foreground))
        return focal_mean(prediction, class_weight(prediction, weights), gamma=0.0)

"""Cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor

from vesuv.config.network import LossConfig
from vesuv.losses.prediction import Loss, Prediction
from vesuv.losses.voxelwise import class_weight, focal_mean


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Mean over valid voxels of -w_y log(p_y).

    Range [0, inf); perfect mask 0 in the limit; constant prediction one half log(2) with weights 1;
    nothing valid 0. The mean divides by the number of voxels, not by the sum of their weights.

    Args:
        positive_weight: Weight of foreground voxels, on top of their class weight.
        class_weights: Weight of each class, background first; None: all 1.

    Source:
        torch.nn.BCEWithLogitsLoss (`pos_weight`) for one logit, negative log-softmax otherwise.
    """

    pools: ClassVar[bool] = True
    positive_weight: float
    class_weights: tuple[float, ...] | None

    @classmethod
    def from_config(cls, config: LossConfig) -> Self:
        """Build it from the loss section."""
        return cls(config.cross_entropy.positive_weight, config.class_weights)

    def of(self, prediction: Prediction) -> Tensor:
        """Return the loss of one batch."""
        background, *foreground = self.class_weights or (1.0,) * prediction.num_classes
        weights = (background, *(self.positive_weight * weight for weight in foreground))
        return focal_mean(prediction, class_weight(prediction, weights), gamma=0.0)

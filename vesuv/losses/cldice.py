"""Centreline Dice: overlap of each mask's skeleton with the other mask."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from vesuv.config.data import PositiveInt
from vesuv.losses.prediction import Loss, Prediction, ratio
from vesuv.losses.skeleton import erode, skeleton, soft_skeleton

SUM_DIMS = (0, 2, 3, 4)


class ClDice(Loss):
    """1 - harmonic mean of sum(S(p) y)/sum(S(p)) and sum(S(y) p)/sum(S(y)), S the soft skeleton.

    Sums run over the batch; the mean over foreground classes. Range [0, 1]; perfect mask 0; a
    constant prediction c has no ridge and scores about 1 - 2c/(1 + c); 0 without valid voxels or
    without foreground in both. Only voxels further than iterations + 2, the reach of the skeleton,
    from ignored voxels count.

    Source:
        Shit et al. 2021, clDice - a Novel Topology-Preserving Loss Function for Tubular Structure
        Segmentation, equations 1 and 2.
    """

    uses_global_sums: ClassVar[bool] = True
    iterations: PositiveInt = 3
    """Erosions of the soft skeleton; half the structure's thickness in voxels at least."""
    erosion: Literal["cube", "cross"] = "cube"
    """cube: 3x3x3, for sheets (the cross loses 22-60 % of oblique sheets); cross: the three axes,
    for tubes."""
    smooth: float = Field(default=1.0, ge=0.0)
    """Added to numerator and denominator of both ratios."""

    @property
    def limits(self) -> tuple[float, float]:
        return 0.0, 1.0

    def of(self, prediction: Prediction) -> Tensor:
        cube = self.erosion == "cube"
        inner_valid = erode(prediction.valid, self.iterations + 2)
        predicted_skeleton = soft_skeleton(prediction.probs, self.iterations, cube)
        label_skeleton = skeleton(prediction.target, self.iterations, cube) & inner_valid
        sums = (
            (predicted_skeleton * (prediction.target & inner_valid)).sum(dim=SUM_DIMS),
            (predicted_skeleton * inner_valid).sum(dim=SUM_DIMS),
            (prediction.probs * label_skeleton).sum(dim=SUM_DIMS),
            label_skeleton.sum(dim=SUM_DIMS).to(predicted_skeleton.dtype),
        )
        predicted_inside, predicted_total, label_inside, label_total = prediction.global_sum(
            torch.stack(sums)
        )
        precision = self._share(predicted_inside, predicted_total)
        sensitivity = self._share(label_inside, label_total)
        harmonic_mean = ratio(2 * precision * sensitivity, precision + sensitivity, empty=0.0)
        return (1 - harmonic_mean).mean()

    def _share(self, inside: Tensor, total: Tensor) -> Tensor:
        return ratio(inside + self.smooth, total + self.smooth, empty=1.0)

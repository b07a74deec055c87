"""Centreline Dice: is each skeleton inside the other's volume?"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from vesuv.config.data import PositiveInt
from vesuv.losses.prediction import Loss, Prediction, ratio
from vesuv.losses.skeleton import erode, skeleton, soft_skeleton

SUMMED = (0, 2, 3, 4)


class ClDice(Loss):
    """1 - harmonic mean of sum(S(p) y)/sum(S(p)) and sum(S(y) p)/sum(S(y)), S the soft skeleton.

    Sums run over the batch; the mean over foreground classes. Range [0, 1]; perfect mask 0; a
    constant prediction c has no ridge and scores about 1 - 2c/(1 + c); nothing valid, or no
    foreground in either, 0. Only voxels further than iterations + 1 from an ignored one count:
    nearer ones have a skeleton of the cut rather than of the structure.

    Source:
        Shit et al. 2021, clDice - a Novel Topology-Preserving Loss Function for Tubular Structure
        Segmentation, equations 1 and 2.
    """

    pools: ClassVar[bool] = True
    iterations: PositiveInt = 3
    """Erosions of the soft skeleton; at least half the structure's thickness in voxels."""
    erosion: Literal["cube", "cross"] = "cube"
    """cube: 3x3x3, for sheets (the cross loses 22-60 % of an oblique one); cross: the three axes,
    for tubes."""
    smooth: float = Field(default=1.0, ge=0.0)
    """Added to numerator and denominator of both shares."""

    @property
    def limits(self) -> tuple[float, float]:
        return 0.0, 1.0

    def of(self, prediction: Prediction) -> Tensor:
        cube = self.erosion == "cube"
        counted = erode(prediction.valid, self.iterations + 1)
        predicted = soft_skeleton(prediction.probs, self.iterations, cube)
        labelled = skeleton(prediction.target, self.iterations, cube) & counted
        sums = (
            (predicted * (prediction.target & counted)).sum(dim=SUMMED),
            (predicted * counted).sum(dim=SUMMED),
            (prediction.probs * labelled).sum(dim=SUMMED),
            labelled.sum(dim=SUMMED).to(predicted.dtype),
        )
        inside_label, ridge, inside_prediction, labelled_ridge = prediction.pool(torch.stack(sums))
        precision = self._share(inside_label, ridge)
        sensitivity = self._share(inside_prediction, labelled_ridge)
        both = ratio(2 * precision * sensitivity, precision + sensitivity, empty=0.0)
        return (1 - both).mean()

    def _share(self, inside: Tensor, total: Tensor) -> Tensor:
        return ratio(inside + self.smooth, total + self.smooth, empty=1.0)

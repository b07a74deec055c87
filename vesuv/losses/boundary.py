"""Losses that weight voxels by their distance to the labelled boundary."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from torch import Tensor

from vesuv.config.data import PositiveInt
from vesuv.losses.distance import boundary_distance
from vesuv.losses.prediction import Loss, Prediction
from vesuv.losses.voxelwise import focal_mean

FULL_WEIGHT_SHARE = 0.6
"""Share of the radius up to which the band's weight is 1: 3 of 5 voxels in the diary."""


class Boundary(Loss):
    """Distance-weighted error, in one of two forms.

    distance: mean over valid voxels of phi p minus its minimum, where phi is the signed distance to
    the boundary: -(d - 1/2) inside, +(d - 1/2) outside, clipped at R and divided by R; the mean
    over foreground classes. Range [0, 1]; perfect mask 0; constant prediction c: c times the mean
    of |phi| outside plus 1 - c times that inside. d is the distance to the nearest voxel centre on
    the other side; with the half voxel, phi is not 0 on sheets of two voxels.

    band: mean over valid voxels of cross-entropy weighted 1 up to 0.6 R from the boundary, falling
    linearly to 0 at R. Range [0, inf); perfect mask 0 in the limit; constant one half log(2) times
    the mean weight.

    Ignored voxels lie on neither side. In a patch of one class every distance is R. Without valid
    voxels the loss is 0.

    Source:
        Kervadec et al. 2019, Boundary loss for highly unbalanced segmentation, equation 5.
    """

    uses_global_sums: ClassVar[bool] = True
    form: Literal["band", "distance"] = "distance"
    """One of the two forms above."""
    radius: PositiveInt = 5
    """R in voxels."""

    @property
    def limits(self) -> tuple[float, float]:
        return 0.0, 1.0 if self.form == "distance" else math.inf

    def of(self, prediction: Prediction) -> Tensor:
        # A reach of one voxel more than the radius makes d - 1/2 exact up to the clip.
        distance = boundary_distance(prediction.target, prediction.valid, self.radius + 1)
        if self.form == "distance":
            return self._signed(prediction, distance)
        return self._band(prediction, distance)

    def _signed(self, prediction: Prediction, distance: Tensor) -> Tensor:
        phi = distance.sub_(0.5).clamp_(max=self.radius).div_(self.radius)
        phi.mul_(prediction.target.to(phi.dtype).mul_(-2.0).add_(1.0))
        # phi is negative exactly on the target, so phi (p - y) is at least 0 everywhere; on ignored
        # voxels p and y are both 0.
        error = phi * (prediction.probs - prediction.target.to(phi.dtype))
        num_voxels = prediction.total_valid.clamp_min(1)
        return prediction.global_sum(error.sum()) / (num_voxels * prediction.target.shape[1])

    def _band(self, prediction: Prediction, distance: Tensor) -> Tensor:
        nearest_distance = distance.amin(dim=1, keepdim=True)
        width = self.radius * (1 - FULL_WEIGHT_SHARE)
        weight = nearest_distance.neg_().add_(self.radius).div_(width).clamp_(0.0, 1.0)
        return focal_mean(prediction, weight, gamma=0.0)

"""Losses that weigh voxels by their distance to the labelled boundary."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from torch import Tensor

from vesuv.config.data import PositiveInt
from vesuv.losses.distance import boundary_distance
from vesuv.losses.prediction import Loss, Prediction
from vesuv.losses.voxelwise import focal_mean

FULL_SHARE = 0.6
"""The band's weight is 1 up to this share of its radius: 3 voxels of the diary's 5."""


class Boundary(Loss):
    """Distance-weighted error, in one of two forms.

    distance: mean over valid voxels of phi p minus its minimum, phi the signed distance to the
    boundary: -(d - 1/2) inside, +(d - 1/2) outside, clipped at R and divided by R; the mean over
    foreground classes. Range [0, 1]; perfect mask 0; constant prediction c: c times the mean of
    |phi| outside plus 1 - c times that inside. d is the distance to the nearest voxel centre of the
    other side, so the half voxel keeps a gradient on sheets of two voxels.

    band: mean over valid voxels of cross-entropy weighted 1 up to 0.6 R from the boundary, falling
    linearly to 0 at R. Range [0, inf); perfect mask 0 in the limit; constant one half log(2) times
    the mean weight.

    Ignored voxels lie on neither side. A patch of one class is R away everywhere; nothing valid 0.

    Source:
        Kervadec et al. 2019, Boundary loss for highly unbalanced segmentation, equation 5.
    """

    pools: ClassVar[bool] = True
    form: Literal["band", "distance"] = "distance"
    """Which of the two."""
    radius: PositiveInt = 5
    """R in voxels."""

    @property
    def limits(self) -> tuple[float, float]:
        return 0.0, 1.0 if self.form == "distance" else math.inf

    def of(self, prediction: Prediction) -> Tensor:
        # One voxel further than the radius, so that d - 1/2 is exact up to the clip.
        distance = boundary_distance(prediction.target, prediction.valid, self.radius + 1)
        if self.form == "distance":
            return self._signed(prediction, distance)
        return self._band(prediction, distance)

    def _signed(self, prediction: Prediction, distance: Tensor) -> Tensor:
        phi = distance.sub_(0.5).clamp_(max=self.radius).div_(self.radius)
        phi.mul_(prediction.target.to(phi.dtype).mul_(-2.0).add_(1.0))
        # phi is negative exactly on the target, so every term of phi (p - y) is at least 0; p and y
        # are both 0 on ignored voxels.
        error = phi * (prediction.probs - prediction.target.to(phi.dtype))
        num_voxels = prediction.total_valid.clamp_min(1)
        return prediction.pool(error.sum()) / (num_voxels * prediction.target.shape[1])

    def _band(self, prediction: Prediction, distance: Tensor) -> Tensor:
        nearest = distance.amin(dim=1, keepdim=True)
        width = self.radius * (1 - FULL_SHARE)
        weight = nearest.neg_().add_(self.radius).div_(width).clamp_(0.0, 1.0)
        return focal_mean(prediction, weight, gamma=0.0)

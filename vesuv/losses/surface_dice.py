"""Differentiable Dice of two surfaces at a tolerance."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from vesuv.config.data import PositiveInt
from vesuv.losses.prediction import Loss, Prediction, ratio
from vesuv.losses.skeleton import dilate, erode, skeleton, soft_dilation, soft_skeleton

SUM_DIMS = (0, 2, 3, 4)


class SurfaceDice(Loss):
    """1 - (sum(S(p) D(S(y))) + sum(S(y) D(S(p))) + s) / (sum(S(p)) + sum(S(y)) + s).

    S is the soft skeleton by the 3x3x3 cube, which of a thin sheet is its surface. D is max-pooling
    over the tolerance in each direction: a surface voxel within it counts as found. Sums run over
    the batch; the mean over foreground classes. Range [0, 1]; perfect mask 0; a constant prediction
    has no ridge and scores 1, without a gradient: combine it with another loss. 0 without valid
    voxels or without foreground in both. Only voxels further than iterations + tolerance + 2 from
    ignored voxels count, the reach of a skeleton and of the tolerance.

    Source:
        Nikolov et al. 2021, Clinically Applicable Segmentation of Head and Neck Anatomy, the
        surface Dice similarity coefficient, with the soft skeleton of Shit et al. 2021 as surface.
    """

    uses_global_sums: ClassVar[bool] = True
    iterations: PositiveInt = 3
    """Erosions of the soft skeleton; half the sheet's thickness in voxels at least."""
    tolerance: PositiveInt = 2
    """Largest distance between two surfaces that counts as none, in voxels along each axis."""
    smooth: float = Field(default=1.0, ge=0.0)
    """The smoothing term s."""

    @property
    def limits(self) -> tuple[float, float]:
        return 0.0, 1.0

    def of(self, prediction: Prediction) -> Tensor:
        inner_valid = erode(prediction.valid, self.iterations + self.tolerance + 2)
        predicted = soft_skeleton(prediction.probs, self.iterations, cube=True)
        labelled = skeleton(prediction.target, self.iterations, cube=True)
        counted = labelled & inner_valid
        sums = (
            (predicted * (dilate(labelled, self.tolerance) & inner_valid)).sum(dim=SUM_DIMS),
            (soft_dilation(predicted, self.tolerance) * counted).sum(dim=SUM_DIMS),
            (predicted * inner_valid).sum(dim=SUM_DIMS),
            counted.sum(dim=SUM_DIMS).to(predicted.dtype),
        )
        predicted_near, labelled_near, num_predicted, num_labelled = prediction.global_sum(
            torch.stack(sums)
        )
        near = predicted_near + labelled_near + self.smooth
        return (1 - ratio(near, num_predicted + num_labelled + self.smooth, empty=1.0)).mean()

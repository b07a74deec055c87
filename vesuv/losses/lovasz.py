"""Lovász extension of the Jaccard loss."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from vesuv.losses.prediction import Loss, Prediction


class Lovasz(Loss):
    """Lovász extension of 1 - intersection / union, at the errors of the valid voxels.

    The errors are sorted, largest first; each one is weighted by the increase of the Jaccard loss
    when its voxel joins the wrong ones. Error of a logit x of one foreground, or of regions: the
    hinge max(0, 1 - x) on foreground and max(0, 1 + x) elsewhere, range [0, inf), perfect mask 0,
    all logits 0 score 1; the mean over foregrounds. Error of a probability p of several classes:
    |y - p|, range [0, 1], perfect mask 0, constant p on share f 1 - p where p <= 1/2, else
    p (1 - f) + (1 - p) f; the mean over all classes, the background too: without it a network that
    says 1/2 of two foreground classes everywhere scores 1/2, which few masks beat early.

    A class without a labelled voxel scores its largest error; 0 without valid voxels.

    Source:
        Berman et al. 2018, The Lovász-Softmax Loss, algorithm 1.
    """

    uses_global_sums: ClassVar[bool] = False
    batch: bool = True
    """Sort the voxels of the whole batch together; false: the mean of one value for each patch with
    valid voxels."""

    def of(self, prediction: Prediction) -> Tensor:
        values, target = prediction.logits, prediction.target
        if not prediction.is_sigmoid:
            probs = prediction.probs
            values = torch.cat([1.0 - probs.sum(dim=1, keepdim=True), probs], dim=1)
            background = prediction.valid & ~target.any(dim=1, keepdim=True)
            target = torch.cat([background, target], dim=1)
        valid = self._rows(prediction.valid.expand_as(target))
        values, target = self._rows(values), self._rows(target)
        # Each error is offset + side * value; with both and its weight detached, backward needs
        # one tensor.
        side = target.to(values.dtype).mul_(-2.0).add_(1.0)
        offset = torch.ones_like(side) if prediction.is_sigmoid else target.to(values.dtype)
        errors = torch.addcmul(offset, side, values.detach())
        weights = jaccard_slopes(errors, target, valid).mul_(errors > 0)
        loss = (weights * offset).sum(dim=-1) + (weights * side * values).sum(dim=-1)
        if self.batch:
            return loss.mean()
        return prediction.mean_where(loss.mean(dim=1, keepdim=True), prediction.num_valid > 0)

    def _rows(self, values: Tensor) -> Tensor:
        """Return one row for each sort: (c, b n) for the batch, (b, c, n) for its patches."""
        if self.batch:
            return values.transpose(0, 1).flatten(1)
        return values.flatten(2)


@torch.no_grad()
def jaccard_slopes(errors: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return the increase of the Jaccard loss by each voxel, in the order of falling errors.

    The increases are computed in closed form: differences of neighbouring losses would lose most
    digits in float32. Where a voxel is not valid, the increase is 0.

    Args:
        errors: (..., n).
        target: Foreground, boolean, same shape.
        valid: Boolean, same shape.
    """
    order = errors.masked_fill(~valid, -math.inf).argsort(dim=-1, descending=True, stable=True)
    target, valid = target.gather(-1, order), valid.gather(-1, order)
    intersection = target.sum(dim=-1, keepdim=True, dtype=torch.int32)
    union = intersection + (valid & ~target).cumsum(dim=-1, dtype=torch.int32)
    intersection = intersection - target.cumsum(dim=-1, dtype=torch.int32)
    union, intersection = union.to(errors.dtype), intersection.to(errors.dtype)
    # A missed voxel leaves I - 1 of U; a false one I of U + 1. The first false voxel of a class
    # without foreground takes the loss from 0 to 1.
    of_false = torch.where(union > 1, intersection / (union * (union - 1).clamp_min(1)), 1.0)
    slopes = torch.where(target, 1 / union.clamp_min(1), of_false) * valid
    return torch.empty_like(slopes).scatter_(-1, order, slopes)

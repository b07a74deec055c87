"""Weighted focal cross-entropy of each voxel, on which three losses are built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from vesuv.losses.prediction import Prediction


def class_weight(prediction: Prediction, weights: Sequence[float]) -> Tensor:
    """Return each voxel's weight by its class, background first.

    Returns:
        (b, 1, z, y, x), or (b, k, z, y, x) for k regions: their weight inside, the background's
        outside.
    """
    if prediction.num_targets == 1 and prediction.is_sigmoid:
        background, foreground = weights
        return prediction.target * (foreground - background) + background
    table = torch.tensor(weights, dtype=prediction.logits.dtype, device=prediction.label.device)
    if prediction.has_regions:
        inside = table[1:, None, None, None]
        return torch.where(prediction.target, inside, table[0])
    return table[_class_index(prediction)].unsqueeze(1)


def focal_mean(prediction: Prediction, weight: Tensor, gamma: float) -> Tensor:
    """Mean over valid voxels of weight * (1 - p_y)**gamma * -log(p_y); 0 when none is valid.

    With regions it is the mean over the regions too.

    Args:
        prediction: One batch.
        weight: Weight of each voxel, (b, 1, z, y, x) or (b, k, z, y, x).
        gamma: 0 is cross-entropy.
    """
    weight = weight * prediction.valid
    num_channels = 1
    if prediction.is_sigmoid:
        num_channels = prediction.num_targets
        sign = prediction.target.to(weight.dtype).mul_(-2.0).add_(1.0)
        total = _binary_focal_sum(prediction.logits, sign, weight, gamma)
    else:
        total = (_focal_values(prediction, gamma).unsqueeze(1) * weight).sum()
    return prediction.global_sum(total) / (prediction.total_valid.clamp_min(1) * num_channels)


def _class_index(prediction: Prediction) -> Tensor:
    return prediction.label.long().masked_fill(~prediction.valid[:, 0], 0)


def _focal_values(prediction: Prediction, gamma: float) -> Tensor:
    cross_entropy = F.cross_entropy(prediction.logits, _class_index(prediction), reduction="none")
    if gamma == 0:
        return cross_entropy
    # Below the clamp the gradient is zero: 0 ** (gamma - 1) would be infinite.
    error_prob = (-torch.expm1(-cross_entropy)).clamp_min(torch.finfo(cross_entropy.dtype).tiny)
    return error_prob**gamma * cross_entropy


class _BinaryFocalSum(torch.autograd.Function):
    """Forward computes the gradient in closed form and saves nothing else for backward."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, sign: Tensor, weight: Tensor, gamma: float) -> Tensor:
        margin = logits * sign
        error_prob = torch.sigmoid(margin)
        cross_entropy = F.softplus(margin)
        focal_weight = weight if gamma == 0 else weight * error_prob**gamma
        value = (focal_weight * cross_entropy).sum()
        if ctx.needs_input_grad[0]:
            # d/dm [q**g softplus(m)] = q**g (g (1 - q) softplus(m) + q), with q = sigmoid(m).
            slope = (
                error_prob
                if gamma == 0
                else cross_entropy.mul_(1 - error_prob).mul_(gamma).add_(error_prob)
            )
            ctx.save_for_backward(slope.mul_(focal_weight).mul_(sign))
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * upstream, None, None, None


def _binary_focal_sum(logits: Tensor, sign: Tensor, weight: Tensor, gamma: float) -> Tensor:
    total: Tensor = _BinaryFocalSum.apply(logits, sign, weight, gamma)  # type: ignore[no-untyped-call]
    return total

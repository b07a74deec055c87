"""Instance norm and LeakyReLU fused: one tensor is saved for backward instead of two."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vesuv.runtime.torch_internals import batch_norm, batch_norm_backward, leaky_relu_backward

EPSILON = 1e-5
"""Added to each variance, as torch.nn.InstanceNorm3d does."""


class NormActivation(nn.Module):
    """Instance norm without affine, then LeakyReLU.

    LeakyReLU is invertible, and the gradient of a norm needs only its result and its scale. So
    backward uses the activation that the next convolution saves anyway, and the input of the norm
    is freed: half the activations of the network.

    Args:
        slope: Negative slope, above 0.

    Source:
        Rota Bulo et al. 2018, In-Place Activated BatchNorm, section 3.
    """

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, features: Tensor) -> Tensor:
        """Normalise each channel of each patch of (b, c, z, y, x), then activate."""
        if features.device.type == "cpu" and not (self.training or torch.is_grad_enabled()):
            # faster than batch norm there, and torch.compile fuses it with the activation
            normalised = torch.group_norm(features, features.shape[1], eps=EPSILON)
            return F.leaky_relu_(normalised, self.slope)
        activated: Tensor = _NormActivation.apply(  # type: ignore[no-untyped-call]
            features, self.slope
        )
        return activated

    def extra_repr(self) -> str:
        return f"slope={self.slope}"


class _NormActivation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, slope: float) -> Tensor:
        normalised, scale = batch_norm(_patches_as_channels(features), EPSILON)
        activated = F.leaky_relu_(normalised, slope).view(features.shape)
        ctx.save_for_backward(activated, scale)
        ctx.slope = slope
        return activated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        activated, scale = ctx.saved_tensors
        norm_gradient = leaky_relu_backward(upstream, activated, ctx.slope)
        normalised = F.leaky_relu(activated, 1.0 / ctx.slope)
        # The norm's backward of an input with mean 0 and scale 1; the norm's own scale is passed as
        # the affine weight.
        gradient = batch_norm_backward(
            _patches_as_channels(norm_gradient),
            _patches_as_channels(normalised),
            weight=scale,
            mean=torch.zeros_like(scale),
            scale=torch.ones_like(scale),
            epsilon=EPSILON,
        )
        return gradient.view(upstream.shape), None


def _patches_as_channels(features: Tensor) -> Tensor:
    """Reshape to one patch with b * c channels, on which batch norm is instance norm."""
    return features.reshape(1, -1, *features.shape[2:])

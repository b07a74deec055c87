"""Instance norm and LeakyReLU in one step that keeps one tensor for backward instead of two."""

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

    LeakyReLU can be undone, and the gradient of a norm needs only its result and its scale. So
    backward works from the activation that the next convolution keeps anyway, and the convolution
    result before it is let go: half the activations of the network.

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
        activated: Tensor = _NormActivation.apply(  # type: ignore[no-untyped-call]
            features, self.slope
        )
        return activated

    def extra_repr(self) -> str:
        """Show the slope where the network is printed."""
        return f"slope={self.slope}"


class _NormActivation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, slope: float) -> Tensor:
        normalised, scale = batch_norm(_one_batch(features), EPSILON)
        activated = F.leaky_relu_(normalised, slope).view(features.shape)
        ctx.save_for_backward(activated, scale)
        ctx.slope = slope
        return activated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        activated, scale = ctx.saved_tensors
        through = leaky_relu_backward(upstream, activated, ctx.slope)
        normalised = F.leaky_relu(activated, 1.0 / ctx.slope)
        # The norm's backward for an input that has mean 0 and scale 1 already; its own scale enters
        # as if it were an affine weight.
        gradient = batch_norm_backward(
            _one_batch(through),
            _one_batch(normalised),
            weight=scale,
            mean=torch.zeros_like(scale),
            scale=torch.ones_like(scale),
            epsilon=EPSILON,
        )
        return gradient.view(upstream.shape), None


def _one_batch(features: Tensor) -> Tensor:
    """Every channel of every patch as a channel of one: batch norm is then instance norm."""
    return features.reshape(1, -1, *features.shape[2:])

"""The undocumented parts of PyTorch that vesuv uses, all in this place.

Each has a test of its own in tests/runtime/test_torch_internals.py, which tells whether it still
does what is expected here. pyproject.toml lets in no PyTorch newer than the one these tests ran
with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer


def lerp_all_(averages: Sequence[Tensor], currents: Sequence[Tensor], share: float) -> None:
    """Move each tensor towards its partner by a share of the way, in place, in one kernel."""
    torch._foreach_lerp_(list(averages), list(currents), share)


def prepare_for_skips(optimizer: Optimizer) -> None:
    """Let `skip_step` work with a fused optimiser: its kernels read two attributes together."""
    setattr(optimizer, "grad_scale", None)  # noqa: B010 - not declared


def skip_step(optimizer: Optimizer, skipped: Tensor) -> None:
    """Make the next step of a fused optimiser do nothing where `skipped` is 1.

    The kernels read the number on the device, as they do for `torch.amp.GradScaler`, so the host
    need not know it.

    Args:
        optimizer: Prepared by `prepare_for_skips`.
        skipped: Scalar, 0 or 1.
    """
    setattr(optimizer, "found_inf", skipped)  # noqa: B010 - not declared


def batch_norm(features: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Normalise each channel of (b, c, ...) over batch and space, without affine.

    Returns:
        The result, and the inverse of each channel's standard deviation, (c,).
    """
    normalised, _, scale = torch.native_batch_norm(
        features, None, None, None, None, True, 0.0, epsilon
    )
    return normalised, scale


def batch_norm_backward(
    upstream: Tensor, features: Tensor, weight: Tensor, mean: Tensor, scale: Tensor, epsilon: float
) -> Tensor:
    """Return the gradient of an affine batch norm with respect to its features.

    Args:
        upstream: Gradient with respect to the result, (b, c, ...).
        features: (b, c, ...).
        weight: Of the affine part, (c,).
        mean: Of each channel of `features`.
        scale: Inverse of each channel's standard deviation.
        epsilon: Of the norm.
    """
    gradient, _, _ = torch.ops.aten.native_batch_norm_backward(
        upstream, features, weight, None, None, mean, scale, True, epsilon, [True, False, False]
    )
    return gradient  # type: ignore[no-any-return]


def leaky_relu_backward(upstream: Tensor, activated: Tensor, slope: float) -> Tensor:
    """Return the gradient of LeakyReLU, told from its result instead of its input."""
    return torch.ops.aten.leaky_relu_backward(  # type: ignore[no-any-return]
        upstream, activated, slope, True
    )


def cpu_has_bfloat16() -> bool:
    """Tell whether products of bfloat16 run in hardware; emulated they are slower than float32."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        found = capabilities()
        return bool(found.get("avx512_bf16") or found.get("bf16"))
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(probe and probe())

"""All undocumented parts of PyTorch that vesuv uses.

Each has a test in tests/runtime/test_torch_internals.py. pyproject.toml allows no PyTorch newer
than the version that these tests ran with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim import Optimizer


def lerp_all_(averages: Sequence[Tensor], currents: Sequence[Tensor], weight: float) -> None:
    """Add `weight` times (current - average) to each average, in place, in one kernel."""
    torch._foreach_lerp_(list(averages), list(currents), weight)


def prepare_for_skips(optimizer: Optimizer) -> None:
    """Prepare a fused optimiser for `skip_step`: its kernels need both attributes."""
    setattr(optimizer, "grad_scale", None)  # noqa: B010 - not declared


def skip_step(optimizer: Optimizer, skipped: Tensor) -> None:
    """Make the next step of a fused optimiser do nothing if `skipped` is 1.

    The kernels read the flag on the device, as for `torch.amp.GradScaler`, so the host does not
    wait for it.

    Args:
        optimizer: Prepared by `prepare_for_skips`.
        skipped: Scalar, 0 or 1.
    """
    setattr(optimizer, "found_inf", skipped)  # noqa: B010 - not declared


def batch_norm(features: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Normalise each channel of (b, c, ...) over batch and space, without affine.

    Returns:
        The normalised features, and the inverse standard deviation of each channel, (c,).
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
        upstream: Gradient with respect to the norm's output, (b, c, ...).
        features: Input of the norm, (b, c, ...).
        weight: Weight of the affine part, (c,).
        mean: Mean of each channel of `features`.
        scale: Inverse standard deviation of each channel.
        epsilon: Epsilon of the norm.
    """
    gradient, _, _ = torch.ops.aten.native_batch_norm_backward(
        upstream, features, weight, None, None, mean, scale, True, epsilon, [True, False, False]
    )
    return gradient  # type: ignore[no-any-return]


def leaky_relu_backward(upstream: Tensor, activated: Tensor, slope: float) -> Tensor:
    """Return the gradient of LeakyReLU, computed from its output instead of its input."""
    return torch.ops.aten.leaky_relu_backward(  # type: ignore[no-any-return]
        upstream, activated, slope, True
    )


@contextmanager
def packed_weights() -> Iterator[None]:
    """Let torch.compile treat weights as constants, so that it stores them as the CPU wants them.

    It holds for networks that are compiled within, which is at their first call for each shape. As
    many may be compiled as the largest ensembles have.
    """
    import torch._dynamo.config as dynamo_config
    import torch._inductor.config as inductor_config

    with inductor_config.patch(freezing=True), dynamo_config.patch(recompile_limit=64):
        yield


def cpu_has_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 in hardware; emulation is slower than float32."""
    get_capabilities = getattr(torch.cpu, "get_capabilities", None)
    if get_capabilities is not None:
        capabilities = get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("bf16"))
    supports_bfloat16 = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supports_bfloat16 and supports_bfloat16())

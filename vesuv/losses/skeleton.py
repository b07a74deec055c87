"""Soft skeleton by morphology, differentiable, keeping nothing but its input for backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vesuv.losses.distance import AXES

Origins = list[tuple[Tensor, Tensor]]
"""For each axis: 1 where a voxel took the value of its lower, and of its upper neighbour, else 0.

In the volume's own floating type: on a CPU, comparing into and multiplying by booleans is 4 times
slower."""


def soft_skeleton(probs: Tensor, iterations: int, cube: bool) -> Tensor:
    """Soft skeleton of each volume.

    S = 1 - prod_k (1 - relu(E_k - open(E_k))), k = 0 ... iterations, E_k the k-th erosion and the
    opening an erosion followed by a dilation with the 3x3x3 cube: the paper's recursion
    S <- S + relu(d - S d), written as the product it is. Forward keeps `probs` alone; backward
    repeats the erosions, volume by volume, so that its working memory is that of one volume.

    Args:
        probs: In [0, 1], (b, c, z, y, x).
        iterations: Erosions after the first opening.
        cube: Erode by the 3x3x3 cube; otherwise by the voxel and its six neighbours.

    Source:
        Shit et al. 2021, clDice, algorithm 1.
    """
    skeleton: Tensor = _SoftSkeleton.apply(probs, iterations, cube)  # type: ignore[no-untyped-call]
    return skeleton


def skeleton(mask: Tensor, iterations: int, cube: bool) -> Tensor:
    """Return the same of a boolean mask, boolean."""
    eroded = mask.to(torch.uint8)
    found = torch.zeros_like(mask)
    for _ in range(iterations + 1):
        below = _window(eroded, torch.minimum, cube)
        found |= eroded > _window(below, torch.maximum, cube=True)
        eroded = below
    return found


def erode(mask: Tensor, times: int) -> Tensor:
    """Erode a boolean mask by the 3x3x3 cube; beyond the volume's edge counts as inside."""
    eroded = mask.to(torch.uint8)
    for _ in range(times):
        eroded = _window(eroded, torch.minimum, cube=True)
    return eroded.bool()


class _SoftSkeleton(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, probs: Tensor, iterations: int, cube: bool) -> Tensor:
        ctx.save_for_backward(probs)
        ctx.iterations, ctx.cube = iterations, cube
        result = torch.empty_like(probs, memory_format=torch.contiguous_format)
        for volume, out in _volumes(probs, result):
            out.fill_(1.0)
            eroded = volume
            for _ in range(iterations + 1):
                below = _window(eroded, torch.minimum, cube)
                out.mul_(_outside_ridge(eroded, _window(below, torch.maximum, cube=True)))
                eroded = below
            out.neg_().add_(1.0)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (probs,) = ctx.saved_tensors
        gradient = torch.empty_like(probs, memory_format=torch.contiguous_format)
        upstream = upstream.contiguous()
        for index, (volume, out) in enumerate(_volumes(probs, gradient)):
            slope = upstream.flatten(0, 1)[index]
            out.copy_(_volume_gradient(volume, slope, ctx.iterations, ctx.cube))
        return gradient, None, None


def _volumes(probs: Tensor, result: Tensor) -> zip[tuple[Tensor, Tensor]]:
    return zip(probs.flatten(0, 1), result.flatten(0, 1), strict=True)


def _outside_ridge(eroded: Tensor, opened: Tensor) -> Tensor:
    """1 - relu(E - open(E)); overwrites `opened`."""
    return opened.sub_(eroded).clamp_(max=0.0).add_(1.0)


def _volume_gradient(volume: Tensor, upstream: Tensor, iterations: int, cube: bool) -> Tensor:
    levels, outside, before = [volume], [], [torch.ones_like(volume)]
    for _ in range(iterations + 1):
        levels.append(_window(levels[-1], torch.minimum, cube))
        opened = _window(levels[-1], torch.maximum, cube=True)
        outside.append(_outside_ridge(levels[-2], opened))
        before.append(before[-1] * outside[-1])
    after = upstream.clone()  # upstream times the factors of all deeper levels
    below = torch.zeros_like(volume)  # gradient of the level below
    for level in range(iterations, -1, -1):
        ridge = before[level].mul_(after).mul_(outside[level] < 1.0)
        after.mul_(outside[level])
        origins: Origins = []
        _window(levels[level + 1], torch.maximum, cube=True, origins=origins)
        below.add_(_window_gradient(-ridge, origins, cube=True))
        origins = []
        _window(levels[level], torch.minimum, cube, origins=origins)
        below = _window_gradient(below, origins, cube).add_(ridge)
    return below


def _window(
    volume: Tensor,
    pick: Callable[..., Tensor],
    cube: bool,
    origins: Origins | None = None,
) -> Tensor:
    """Least (`torch.minimum`) or greatest (`torch.maximum`) value of each voxel's neighbourhood.

    Args:
        volume: (..., z, y, x).
        pick: Which of the two.
        cube: 3x3x3 neighbours; otherwise the six that share a face.
        origins: Filled with where each value came from, when given.
    """
    better = torch.lt if pick is torch.minimum else torch.gt
    best = volume.clone()
    for axis in AXES:
        source = best.clone() if cube else volume
        rest = volume.shape[axis] - 1
        lower, upper = best.narrow(axis, 0, rest), best.narrow(axis, 1, rest)
        source_lower, source_upper = source.narrow(axis, 0, rest), source.narrow(axis, 1, rest)
        if origins is not None:
            from_lower = better(source_lower, upper, out=torch.empty_like(upper))
        pick(upper, source_lower, out=upper)
        if origins is not None:
            from_upper = better(source_upper, lower, out=torch.empty_like(lower))
            origins.append((from_lower, from_upper))
        pick(lower, source_upper, out=lower)
    return best


def _window_gradient(upstream: Tensor, origins: Origins, cube: bool) -> Tensor:
    """Send the gradient of `_window`'s result back to where its values came from.

    Overwrites `origins`.
    """
    kept = upstream.clone()
    sent = kept if cube else torch.zeros_like(kept)
    for axis, (from_lower, from_upper) in zip(AXES[::-1], origins[::-1], strict=True):
        rest = upstream.shape[axis] - 1
        lower, upper = kept.narrow(axis, 0, rest), kept.narrow(axis, 1, rest)
        to_upper = from_upper.mul_(lower)
        lower.sub_(to_upper)
        to_lower = from_lower.mul_(upper)
        upper.sub_(to_lower)
        sent.narrow(axis, 1, rest).add_(to_upper)
        sent.narrow(axis, 0, rest).add_(to_lower)
    return kept if cube else kept.add_(sent)

"""Differentiable soft skeleton and dilation; only their input is saved for backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vesuv.losses.distance import AXES

Origins = list[tuple[Tensor, Tensor]]
"""For each axis: 1 where a voxel took the value of its lower, and of its upper neighbour, else 0.

The tensors have the volume's floating type: booleans make the CPU 4 times slower here."""


def soft_skeleton(probs: Tensor, iterations: int, cube: bool) -> Tensor:
    """Soft skeleton of each volume.

    S = 1 - prod_k (1 - relu(E_k - open(E_k))), k = 0 ... iterations. E_k is the k-th erosion; the
    opening is an erosion followed by a dilation with the 3x3x3 cube. The product equals the paper's
    recursion S <- S + relu(d - S d). Forward saves `probs` alone; backward repeats the erosions one
    volume at a time, so that it needs the working memory of one volume.

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
    """Return the same skeleton of a boolean mask, boolean."""
    eroded = mask.to(torch.uint8)
    ridge = torch.zeros_like(mask)
    for _ in range(iterations + 1):
        next_eroded = _local_extremum(eroded, torch.minimum, cube)
        ridge |= eroded > _local_extremum(next_eroded, torch.maximum, cube=True)
        eroded = next_eroded
    return ridge


def erode(mask: Tensor, times: int) -> Tensor:
    """Erode a boolean mask by the 3x3x3 cube; voxels beyond the volume's edge count as inside."""
    eroded = mask.to(torch.uint8)
    for _ in range(times):
        eroded = _local_extremum(eroded, torch.minimum, cube=True)
    return eroded.bool()


def dilate(mask: Tensor, times: int) -> Tensor:
    """Dilate a boolean mask by the 3x3x3 cube."""
    dilated = mask.to(torch.uint8)
    for _ in range(times):
        dilated = _local_extremum(dilated, torch.maximum, cube=True)
    return dilated.bool()


def soft_dilation(values: Tensor, times: int) -> Tensor:
    """Maximum over the cube of `times` voxels in each direction; only `values` is saved.

    Args:
        values: (b, c, z, y, x).
        times: Dilations by the 3x3x3 cube.
    """
    dilated: Tensor = _SoftDilation.apply(values, times)  # type: ignore[no-untyped-call]
    return dilated


class _SoftDilation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, times: int) -> Tensor:
        ctx.save_for_backward(values)
        ctx.times = times
        result = torch.empty_like(values, memory_format=torch.contiguous_format)
        for volume, out in _volumes(values, result):
            out.copy_(volume)
            for _ in range(times):
                out.copy_(_local_extremum(out, torch.maximum, cube=True))
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (values,) = ctx.saved_tensors
        gradient = torch.empty_like(values, memory_format=torch.contiguous_format)
        gradient.copy_(upstream)
        for volume, slope in _volumes(values, gradient):
            levels = [volume]
            for _ in range(ctx.times - 1):
                levels.append(_local_extremum(levels[-1], torch.maximum, cube=True))
            for level in reversed(levels):
                origins: Origins = []
                _local_extremum(level, torch.maximum, cube=True, origins=origins)
                slope.copy_(_extremum_gradient(slope, origins, cube=True))
        return gradient, None


class _SoftSkeleton(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, probs: Tensor, iterations: int, cube: bool) -> Tensor:
        ctx.save_for_backward(probs)
        ctx.iterations, ctx.cube = iterations, cube
        result = torch.empty_like(probs, memory_format=torch.contiguous_format)
        for volume, out in _volumes(probs, result):
            out.fill_(1.0)
            level = volume
            for _ in range(iterations + 1):
                next_eroded = _local_extremum(level, torch.minimum, cube)
                out.mul_(
                    _outside_ridge(level, _local_extremum(next_eroded, torch.maximum, cube=True))
                )
                level = next_eroded
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
    levels, factors, products = [volume], [], [torch.ones_like(volume)]
    for _ in range(iterations + 1):
        levels.append(_local_extremum(levels[-1], torch.minimum, cube))
        opened = _local_extremum(levels[-1], torch.maximum, cube=True)
        factors.append(_outside_ridge(levels[-2], opened))
        products.append(products[-1] * factors[-1])
    later = upstream.clone()  # upstream times the factors of all later erosions
    next_gradient = torch.zeros_like(volume)  # gradient of the next erosion
    for level in range(iterations, -1, -1):
        ridge = products[level].mul_(later).mul_(factors[level] < 1.0)
        later.mul_(factors[level])
        origins: Origins = []
        _local_extremum(levels[level + 1], torch.maximum, cube=True, origins=origins)
        next_gradient.add_(_extremum_gradient(-ridge, origins, cube=True))
        origins = []
        _local_extremum(levels[level], torch.minimum, cube, origins=origins)
        next_gradient = _extremum_gradient(next_gradient, origins, cube).add_(ridge)
    return next_gradient


def _local_extremum(
    volume: Tensor,
    extremum: Callable[..., Tensor],
    cube: bool,
    origins: Origins | None = None,
) -> Tensor:
    """Minimum or maximum over each voxel's neighbourhood.

    Args:
        volume: (..., z, y, x).
        extremum: `torch.minimum` or `torch.maximum`.
        cube: 3x3x3 neighbours; otherwise the six that share a face.
        origins: Receives the origin of each value.
    """
    is_better = torch.lt if extremum is torch.minimum else torch.gt
    result = volume.clone()
    for axis in AXES:
        source = result.clone() if cube else volume
        size = volume.shape[axis] - 1
        lower, upper = result.narrow(axis, 0, size), result.narrow(axis, 1, size)
        source_lower, source_upper = source.narrow(axis, 0, size), source.narrow(axis, 1, size)
        if origins is not None:
            from_lower = is_better(source_lower, upper, out=torch.empty_like(upper))
        extremum(upper, source_lower, out=upper)
        if origins is not None:
            from_upper = is_better(source_upper, lower, out=torch.empty_like(lower))
            origins.append((from_lower, from_upper))
        extremum(lower, source_upper, out=lower)
    return result


def _extremum_gradient(upstream: Tensor, origins: Origins, cube: bool) -> Tensor:
    """Gradient of `_local_extremum`, which flows to the origin of each value; overwrites `origins`.

    Args:
        upstream: Gradient of the result.
        origins: Those of the forward pass.
        cube: As in the forward pass.
    """
    gradient = upstream.clone()
    neighbour_gradient = gradient if cube else torch.zeros_like(gradient)
    for axis, (from_lower, from_upper) in zip(AXES[::-1], origins[::-1], strict=True):
        size = upstream.shape[axis] - 1
        lower, upper = gradient.narrow(axis, 0, size), gradient.narrow(axis, 1, size)
        to_upper = from_upper.mul_(lower)
        lower.sub_(to_upper)
        to_lower = from_lower.mul_(upper)
        upper.sub_(to_lower)
        neighbour_gradient.narrow(axis, 1, size).add_(to_upper)
        neighbour_gradient.narrow(axis, 0, size).add_(to_lower)
    return gradient if cube else gradient.add_(neighbour_gradient)

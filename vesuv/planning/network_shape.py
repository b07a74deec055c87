"""Patch size, strides and kernels for volumes of a shape and voxels of a spacing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vesuv.types import Shape, Spacing

SMALLEST_EDGE = 4
"""Voxels along an axis below which no pooling divides it: at 2 bfloat16 gradients are wrong."""
COARSE_RATIO = 2.0
"""Ratio to the finest axis from which an axis has kernels of 1 and is not divided."""

_TOLERANCE = 1.01
"""For rounding in headers."""


@dataclass(frozen=True)
class NetworkShape:
    """Edges that fit together.

    Args:
        patch_size: Voxels along z, y, x; multiples of the products of the strides.
        strides: Factors along z, y, x of each pooling, from the top.
        kernels: Kernel edges along z, y, x of each level, from the top.
    """

    patch_size: Shape
    strides: tuple[Shape, ...]
    kernels: tuple[Shape, ...]

    @property
    def depth(self) -> int:
        """Number of poolings."""
        return len(self.strides)

    @property
    def voxels(self) -> int:
        """Voxels of the patch."""
        return math.prod(self.patch_size)


def shape_network(num_voxels: int, shape: Shape, spacing: Spacing, max_depth: int) -> NetworkShape:
    """Choose a patch that is as cubic in space as the volumes allow, and the poolings for it.

    A pooling divides an axis if at least `SMALLEST_EDGE` voxels remain, and if its voxels are at
    most `COARSE_RATIO` times as long as those of the other axes that can be divided. Kernels are 1
    along an axis of longer voxels, down to the level where the others are about as long, and along
    an axis of one voxel, so that the network of flat volumes is two-dimensional.

    Args:
        num_voxels: Wanted number of voxels of the patch.
        shape: Voxels of the median volume along z, y, x; no edge of the patch is longer.
        spacing: Voxel edges along z, y, x.
        max_depth: Largest number of poolings.
    """
    edges = _cubic_edges(num_voxels, shape, spacing)
    strides, kernels = _levels(edges, spacing, max_depth)
    patch_size = []
    for axis, edge in enumerate(edges):
        divisor = math.prod(stride[axis] for stride in strides)
        most = max(divisor, shape[axis] // divisor * divisor)
        patch_size.append(min(most, max(divisor, divisor * round(edge / divisor))))
    return NetworkShape((patch_size[0], patch_size[1], patch_size[2]), strides, kernels)


def _cubic_edges(num_voxels: int, shape: Shape, spacing: Spacing) -> tuple[float, float, float]:
    """Edges of equal length in space; axes with too few voxels are whole, the others longer."""
    edges = [float(edge) for edge in shape]
    free = [axis for axis in range(3) if shape[axis] > 1]
    while free:
        fixed = math.prod(edges[axis] for axis in range(3) if axis not in free)
        volume = math.prod(spacing[axis] for axis in free)
        length = (num_voxels / fixed * volume) ** (1 / len(free))
        short = [axis for axis in free if shape[axis] * spacing[axis] < length]
        if not short:
            for axis in free:
                edges[axis] = max(1.0, length / spacing[axis])
            break
        free = [axis for axis in free if axis not in short]
    return edges[0], edges[1], edges[2]


def _levels(
    edges: tuple[float, float, float], spacing: Spacing, max_depth: int
) -> tuple[tuple[Shape, ...], tuple[Shape, ...]]:
    sizes = list(edges)
    # an axis of one voxel is coarser than all others: kernels of 1, never divided
    lengths = [s if edge > 1 else math.inf for s, edge in zip(spacing, edges, strict=True)]
    strides: list[Shape] = []
    kernels = [_axes(1 if _is_coarse(length, lengths) else 3 for length in lengths)]
    while len(strides) < max_depth:
        divisible = [size >= 2 * SMALLEST_EDGE for size in sizes]
        others = [length for length, is_long in zip(lengths, divisible, strict=True) if is_long]
        stride = _axes(
            2 if is_long and not _is_coarse(length, others) else 1
            for length, is_long in zip(lengths, divisible, strict=True)
        )
        if stride == (1, 1, 1):
            break
        strides.append(stride)
        sizes = [size / factor for size, factor in zip(sizes, stride, strict=True)]
        lengths = [length * factor for length, factor in zip(lengths, stride, strict=True)]
        kernels.append(
            _axes(
                3 if edge == 3 or not _is_coarse(length, lengths) else 1
                for edge, length in zip(kernels[-1], lengths, strict=True)
            )
        )
    if not strides:  # a volume of a few voxels: one pooling along its longest axis
        longest = sizes.index(max(sizes))
        strides.append(_axes(2 if axis == longest else 1 for axis in range(3)))
        kernels.append(kernels[-1])
    return tuple(strides), tuple(kernels)


def _is_coarse(length: float, lengths: Sequence[float]) -> bool:
    return length > COARSE_RATIO * min(lengths) * _TOLERANCE


def _axes(values: Iterable[int]) -> Shape:
    z, y, x = values
    return z, y, x

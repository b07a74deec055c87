"""nnU-Net's residual encoder networks: patch, stages and batch for a memory budget."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from vesuv.models.residual_encoder_unet import stage_blocks
from vesuv.planning.network_shape import COARSE_RATIO, SMALLEST_EDGE
from vesuv.types import Shape, Spacing

PRESETS = {"M": 8.0, "L": 24.0, "XL": 40.0}
"""nnU-Net's presets: name -> GB of a GPU, smallest first."""
SMALLER_BUDGETS = {f"for {gigabytes:g} GB": gigabytes for gigabytes in (0.5, 1.0, 2.0, 4.0)}
"""Budgets below nnU-Net's presets, by the same rule."""
_FEATURE_VOXELS = 680_000_000 / 8
"""Voxels of feature maps of one patch for each GB, at two patches a step."""
_FIRST_FEATURES, _MAX_FEATURES = 32, 320
_BATCH_SIZE = 2
_FIRST_EDGE = 256
"""Edge of the cube with the voxels of the first, largest patch."""
_MIN_SUPERVISED_STAGES = 4


@dataclass(frozen=True)
class ResidualShape:
    """Patch and stages of a residual encoder network.

    Args:
        patch_size: Voxels along z, y, x; multiples of the products of the strides. It can exceed a
            volume, which is padded.
        strides: Factors along z, y, x of each stage, (1, 1, 1) first.
        kernel_sizes: Kernel edges along z, y, x of each stage.
    """

    patch_size: Shape
    strides: tuple[Shape, ...]
    kernel_sizes: tuple[Shape, ...]

    @classmethod
    def around(cls, edges: Sequence[int], spacing: Spacing) -> ResidualShape:
        """Return the stages for a patch of these edges; it is enlarged to multiples of strides.

        A stage divides an axis of at least twice `SMALLEST_EDGE` voxels, if these are less than
        `COARSE_RATIO` times as long as those of the finest such axis. Kernels are 1 along an axis
        until its voxels are less than that ratio longer than the finest, and along an axis of one
        voxel.
        """
        sizes, kernel = list(edges), [1, 1, 1]
        lengths = [s if edge > 1 else math.inf for s, edge in zip(spacing, edges, strict=True)]
        strides, kernels = [[1, 1, 1]], []
        while divided := _divided_axes(sizes, lengths):
            finest = min(lengths)
            kernel = [
                3 if edge == 3 or length / finest < COARSE_RATIO else 1
                for edge, length in zip(kernel, lengths, strict=True)
            ]
            kernels.append(kernel)
            strides.append([2 if axis in divided else 1 for axis in range(3)])
            for axis in divided:
                lengths[axis] *= 2
                sizes[axis] = -(-sizes[axis] // 2)
        kernels.append([3 if edge > 1 else 1 for edge in edges])
        divisors = [math.prod(stride[axis] for stride in strides) for axis in range(3)]
        patch_size = [-(-edge // d) * d for edge, d in zip(edges, divisors, strict=True)]
        return cls(_axes(patch_size), tuple(map(_axes, strides)), tuple(map(_axes, kernels)))

    @property
    def features(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(min(_MAX_FEATURES, _FIRST_FEATURES << i) for i in range(len(self.strides)))

    @property
    def divisors(self) -> Shape:
        """Factor along z, y, x by which all stages together divide the patch."""
        return _axes([math.prod(stride[axis] for stride in self.strides) for axis in range(3)])

    @property
    def stage_voxels(self) -> tuple[int, ...]:
        """Voxels of each stage in one patch."""
        factors = accumulate(map(math.prod, self.strides), operator.mul)
        return tuple(math.prod(self.patch_size) // factor for factor in factors)

    def feature_voxels(self, num_classes: int) -> int:
        """Return the voxels of all feature maps that convolutions of one patch compute.

        An encoder block has two convolutions, and one in its skip connection where it changes
        channels or edges; a decoder stage has two. Outputs of deep supervision do not count.

        Source:
            `compute_conv_feature_map_size` of dynamic-network-architectures.
        """
        maps = [2 * blocks for blocks in stage_blocks(len(self.strides))]
        maps[0] += 1  # the stem
        for stage in range(1, len(maps)):
            maps[stage] += 1  # the skip connection of the first block
            maps[stage - 1] += 2  # the decoder
        sizes = zip(maps, self.features, self.stage_voxels, strict=True)
        return sum(math.prod(size) for size in sizes) + num_classes * self.stage_voxels[0]

    def flops(self) -> int:
        """Return the floating-point operations of the convolutions of one patch in a step.

        A multiplication and an addition are two; forward, gradient of the input and gradient of the
        weights are equal. First and last convolution are left out.
        """
        stages = zip(stage_blocks(len(self.strides)), self.features, self.stage_voxels, strict=True)
        taps = [math.prod(kernel) for kernel in self.kernel_sizes]
        total, above = 0, 0
        for stage, (blocks, width, voxels) in enumerate(stages):
            products = (2 * blocks - 1) * taps[stage] * width**2
            products += (taps[stage] + 1) * above * width if stage else taps[stage] * width**2
            total += products * voxels
            if stage:  # transposed convolution to the stage above, and the convolution behind it
                decoder = above * width + taps[stage - 1] * 2 * above**2
                total += decoder * self.stage_voxels[stage - 1]
            above = width
        return 6 * total

    def keys(self) -> dict[str, Any]:
        """Return the keys of the network in the configuration; defaults are left out."""
        keys: dict[str, Any] = {
            "model.name": "residual_encoder_unet",
            "model.features_per_stage": list(self.features),
            "model.deep_supervision": len(self.strides) >= _MIN_SUPERVISED_STAGES,
        }
        if set(self.strides[1:]) != {(2, 2, 2)}:
            keys["model.strides"] = [list(stride) for stride in self.strides]
        if set(self.kernel_sizes) != {(3, 3, 3)}:
            keys["model.kernel_sizes"] = [list(kernel) for kernel in self.kernel_sizes]
        return keys


def residual_shape(
    gigabytes: float, shape: Shape, spacing: Spacing, num_cases: int, num_classes: int
) -> tuple[ResidualShape, int]:
    """Return the largest network of a budget for volumes of a shape, and its batch size.

    The patch begins about cubic in space, with 256³ voxels but no longer than the volumes. While
    its feature maps exceed the budget, the axis that covers most of the volume is shortened. Where
    the budget is not used up, the batch grows; two patches are the fewest.

    Args:
        gigabytes: Memory that nnU-Net means the network for.
        shape: Voxels of the median volume along z, y, x.
        spacing: Voxel edges along z, y, x.
        num_cases: Number of volumes.
        num_classes: Classes of the labels, the background among them.

    Source:
        Isensee et al. 2024, nnU-Net Revisited; rule and constants as in `ResEncUNetPlanner` of
        nnU-Net 2.8.1.
    """
    budget = gigabytes * _FEATURE_VOXELS
    network = ResidualShape.around(_first_edges(shape, spacing), spacing)
    while (feature_voxels := network.feature_voxels(num_classes)) > budget:
        edges = list(network.patch_size)
        shortenable = [axis for axis in range(3) if edges[axis] > network.divisors[axis]]
        if not shortenable:
            break
        axis = max(shortenable, key=lambda axis: (edges[axis] / shape[axis], axis))
        edges[axis] -= network.divisors[axis]
        # A shorter axis may be divided less often, so that a longer multiple is left.
        edges[axis] = network.patch_size[axis] - ResidualShape.around(edges, spacing).divisors[axis]
        network = ResidualShape.around(edges, spacing)
    most = round(num_cases * math.prod(shape) / math.prod(network.patch_size))
    batch_size = min(round(_BATCH_SIZE * budget / feature_voxels), most)
    return network, max(_BATCH_SIZE, batch_size)


def _first_edges(shape: Shape, spacing: Spacing) -> list[int]:
    """Edges of the first patch: of equal length in space but at most the shape's.

    Axes of one voxel do not count.
    """
    lengths = [length for length, edge in zip(spacing, shape, strict=True) if edge > 1]
    scale = (_FIRST_EDGE**3 * math.prod(lengths)) ** (1 / max(1, len(lengths)))
    return [
        max(1, min(edge, round(scale / length)))
        for edge, length in zip(shape, spacing, strict=True)
    ]


def _divided_axes(sizes: Sequence[int], lengths: Sequence[float]) -> list[int]:
    """Axes that a further stage divides; a single one is not worth a stage below a larger edge."""
    divisible = [axis for axis in range(3) if sizes[axis] >= 2 * SMALLEST_EDGE]
    finest = min((lengths[axis] for axis in divisible), default=0.0)
    divided = [axis for axis in divisible if lengths[axis] / finest < COARSE_RATIO]
    if len(divided) == 1 and sizes[divided[0]] < 3 * SMALLEST_EDGE:
        return []
    return divided


def _axes(values: Sequence[int]) -> Shape:
    z, y, x = values
    return z, y, x

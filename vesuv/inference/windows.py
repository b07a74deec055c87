"""Grid of sliding windows over a volume, with their blending weights.

The grid is the product of the windows along the three axes, so the weight of a window is the outer
product of three vectors. These vectors are normalised over the windows of their axis. Therefore the
blended prediction is a weighted sum, without a map of accumulated weights and a division at the
end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vesuv.config.training import Average
from vesuv.types import Shape

SIGMA = 1 / 8
"""Standard deviation of the Gaussian weight, as a share of the patch edge: from centre to face are
4 standard deviations."""


@dataclass(frozen=True)
class AxisWindows:
    """The windows along one axis."""

    corners: tuple[int, ...]
    weights: Tensor
    """Weight of each window at each of its voxels, (window, patch); weights at a voxel sum to 1."""


def weight_centre(patch: int, average: Average) -> float:
    """Return the position in a window of its largest weight.

    Args:
        patch: Voxels of a window.
        average: What windows are averaged in. probabilities: the middle of the window; logits: as
            nnU-Net, voxel patch // 2.
    """
    return float(patch // 2) if average == "logits" else (patch - 1) / 2


def cover_axis(
    length: int, patch: int, overlap: float, average: Average = "probabilities"
) -> AxisWindows:
    """Cover an axis evenly with the fewest windows that have at least the given overlap.

    Args:
        length: Voxels along the axis, at least `patch`.
        patch: Voxels of a window.
        overlap: Share of a window that its neighbour covers, in [0, 1).
        average: What windows are averaged in, see `weight_centre`.
    """
    assert length >= patch, (length, patch)
    free_length = length - patch
    step = patch * (1.0 - overlap)
    num_windows = math.ceil(free_length / step - 1e-9) + 1 if free_length else 1
    corners = tuple(round(free_length * i / max(num_windows - 1, 1)) for i in range(num_windows))
    offset = torch.arange(patch, dtype=torch.float64) - weight_centre(patch, average)
    gaussian = torch.exp(-0.5 * (offset / (SIGMA * patch)) ** 2)
    total = torch.zeros(length, dtype=torch.float64)
    for corner in corners:
        total[corner : corner + patch] += gaussian
    weights = torch.stack([gaussian / total[corner : corner + patch] for corner in corners])
    return AxisWindows(corners, weights.float())


@dataclass(frozen=True)
class WindowGrid:
    """All windows of a volume: the product of the windows along its axes."""

    z: AxisWindows
    y: AxisWindows
    x: AxisWindows

    @classmethod
    def over(
        cls, shape: Shape, patch_size: Shape, overlap: float, average: Average = "probabilities"
    ) -> WindowGrid:
        """Return the windows over a volume whose edges are at least those of the patch."""
        axes = zip(shape, patch_size, strict=True)
        return cls(*(cover_axis(length, patch, overlap, average) for length, patch in axes))

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.z.corners) * len(self.y.corners) * len(self.x.corners)

    def row(self, size: int) -> Iterator[list[tuple[int, int]]]:
        """Yield the (y, x) indices of the windows of one z row in batches of at most `size`."""
        windows = itertools.product(range(len(self.y.corners)), range(len(self.x.corners)))
        while batch := list(itertools.islice(windows, size)):
            yield batch

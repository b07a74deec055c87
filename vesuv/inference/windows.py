"""Where the windows of a volume lie, and how much each of them says about each voxel.

Windows form a grid, corner by corner along each axis, so everything about them is a product over
the axes: the blending weight of a window is the outer product of three short vectors. The vectors
are normalised by their sum over the axis's windows, and then the blended prediction is a plain
weighted sum: no map of accumulated weights, no division at the end.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vesuv.types import Shape

SIGMA = 1 / 8
"""Standard deviation of the Gaussian weight, in patch edges: 4 sigma from centre to face."""


@dataclass(frozen=True)
class Axis:
    """The windows along one axis."""

    corners: tuple[int, ...]
    weights: Tensor
    """Share of each window in each of its voxels, (window, patch); shares at a voxel sum to 1."""


def axis_windows(length: int, patch: int, overlap: float) -> Axis:
    """Cover an axis with the fewest windows that overlap at least as much as asked, evenly spread.

    Args:
        length: Voxels along the axis, at least `patch`.
        patch: Voxels of a window.
        overlap: Share of a window that its neighbour covers, in [0, 1).
    """
    assert length >= patch, (length, patch)
    room = length - patch
    step = patch * (1.0 - overlap)
    num = math.ceil(room / step - 1e-9) + 1 if room else 1
    corners = tuple(round(room * i / max(num - 1, 1)) for i in range(num))
    offset = torch.arange(patch, dtype=torch.float64) - (patch - 1) / 2
    bell = torch.exp(-0.5 * (offset / (SIGMA * patch)) ** 2)
    total = torch.zeros(length, dtype=torch.float64)
    for corner in corners:
        total[corner : corner + patch] += bell
    weights = torch.stack([bell / total[corner : corner + patch] for corner in corners])
    return Axis(corners, weights.float())


@dataclass(frozen=True)
class WindowGrid:
    """All windows of a volume: the product of its axes' windows."""

    z: Axis
    y: Axis
    x: Axis

    @classmethod
    def over(cls, shape: Shape, patch_size: Shape, overlap: float) -> WindowGrid:
        """Lay windows over a volume that is nowhere smaller than the patch."""
        return cls(*(axis_windows(n, p, overlap) for n, p in zip(shape, patch_size, strict=True)))

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.z.corners) * len(self.y.corners) * len(self.x.corners)

    def row(self, size: int) -> Iterator[list[tuple[int, int]]]:
        """Yield the (y, x) window indices of one z row in batches of at most `size`."""
        windows = itertools.product(range(len(self.y.corners)), range(len(self.x.corners)))
        while batch := list(itertools.islice(windows, size)):
            yield batch

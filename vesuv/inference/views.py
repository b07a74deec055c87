"""Views of test-time augmentation: flips and axis exchanges of a window, and the mean over them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vesuv.config.training import Views
from vesuv.transforms.spatial import exchangeable_orders
from vesuv.types import Shape, Spacing

_FLIPS = tuple(axes for count in range(4) for axes in itertools.combinations((0, 1, 2), count))
_SAME_ORDER = (0, 1, 2)
_ON_CPU = 8
"""Views of one forward pass on a CPU."""
_CPU_VOXELS = _ON_CPU * 64**3
"""Voxels of such a pass. Measured on two cores with a plain U-Net of 16 filters, 8 views together
take 0.3 to 0.5 of the time of one after another at windows of 32³ and 64³, and the same at 96³."""


@dataclass(frozen=True)
class View:
    """One of the 48 symmetries of a cube: axes are exchanged first, then reversed."""

    order: Shape = _SAME_ORDER
    """Axis of the window that becomes axis i of the view."""
    flips: tuple[int, ...] = ()
    """Axes of the view that are reversed."""

    def apply(self, batch: Tensor) -> Tensor:
        """Return the view of a batch (b, c, z, y, x)."""
        return _flipped(_permuted(batch, self.order), self.flips)

    def undo(self, batch: Tensor) -> Tensor:
        """Return the batch (b, c, z, y, x) of a view."""
        z, y, x = (self.order.index(axis) for axis in range(3))
        return _permuted(_flipped(batch, self.flips), (z, y, x))


def enumerate_views(kind: Views, patch_size: Shape, spacing: Spacing) -> tuple[View, ...]:
    """Return the views of a kind, the unchanged window first.

    Axes are exchanged only where window edges and spacing along them are equal: 48 views where all
    three are, 16 where two are, and the 8 flips where none are. Along an axis of one voxel nothing
    is flipped: a flat window has 4 flips.

    Args:
        kind: none: the window itself; mirror: the 8 flips; all: flips and axis exchanges.
        patch_size: Edges of a window.
        spacing: Voxel edges of the grid on which the network works.
    """
    flips = _FLIPS[:1] if kind == "none" else _flips_of(patch_size)
    orders = exchangeable_orders(patch_size, spacing) if kind == "all" else [_SAME_ORDER]
    return tuple(View(order, axes) for order in orders for axes in flips)


class ViewMean:
    """Mean over views of the probabilities of windows.

    An accelerator predicts all views of a batch in one forward pass; where its memory does not
    suffice, half as many, and so on. A CPU gains by larger batches of small windows alone. In
    float32 they change the last bits, so that there the views none and mirror, whose predictions
    are to stay the same to the bit, are predicted one after another. The probabilities are summed
    in the order of the views in either case.

    Args:
        views: At least one.
        device: Device of the network.
    """

    def __init__(self, views: Sequence[View], device: torch.device) -> None:
        self.views = tuple(views)
        self.in_one_pass = len(self.views)
        if device.type == "cpu":
            self.in_one_pass = _ON_CPU if len(self.views) > len(_FLIPS) else 1
        self.largest_pass = _CPU_VOXELS if device.type == "cpu" else None

    def __call__(self, predict: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Return the mean probabilities (b, k, z, y, x) of a batch.

        Args:
            predict: Probabilities (b, k, z, y, x) of a batch of images (b, c, z, y, x).
            images: The batch.
        """
        while True:
            try:
                return self._mean(predict, images)
            except torch.OutOfMemoryError:
                if self.in_one_pass == 1:
                    raise
            self.in_one_pass = (self.in_one_pass + 1) // 2

    def _mean(self, predict: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        total: Tensor | None = None
        size = self.in_one_pass
        if self.largest_pass is not None:
            size = max(1, min(size, self.largest_pass // images[:, 0].numel()))
        for start in range(0, len(self.views), size):
            part = self.views[start : start + size]
            seen = [view.apply(images) for view in part]
            probs = predict(torch.cat(seen) if len(seen) > 1 else seen[0])
            for view, one in zip(part, torch.split(probs, len(images)), strict=True):
                unturned = view.undo(one)
                total = unturned if total is None else total + unturned
        assert total is not None, "no views"
        return total if len(self.views) == 1 else total / len(self.views)


def _flips_of(patch_size: Shape) -> tuple[tuple[int, ...], ...]:
    """Return the flips along axes of more than one voxel."""
    return tuple(axes for axes in _FLIPS if all(patch_size[axis] > 1 for axis in axes))


def _permuted(batch: Tensor, order: Shape) -> Tensor:
    if order == _SAME_ORDER:
        return batch
    return batch.permute(0, 1, *(2 + axis for axis in order)).contiguous()


def _flipped(batch: Tensor, axes: Sequence[int]) -> Tensor:
    return batch.flip([2 + axis for axis in axes]) if axes else batch

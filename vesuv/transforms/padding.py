"""Padding of a volume to a larger box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vesuv.types import Shape

Fill = float | Literal["edge"]
"""Value of padded voxels; edge: that of the nearest voxel of the volume."""


def pad_to_box(
    volume: Tensor, before: Sequence[int], size: Sequence[int], fill: Fill = 0
) -> Tensor:
    """Pad a volume to a box; the volume itself is returned if it fills the box.

    Args:
        volume: (..., z, y, x).
        before: Number of padded voxels before the volume, along z, y, x.
        size: Edges of the box.
        fill: Value of the padded voxels.
    """
    if fill == "edge":
        return _repeat_edges(volume, before, size)
    pads: list[int] = []
    for start, length, edge in zip(before, volume.shape[-3:], size, strict=True):
        pads = [start, edge - length - start, *pads]
    return F.pad(volume, pads, value=fill) if any(pads) else volume


def _repeat_edges(volume: Tensor, before: Sequence[int], size: Sequence[int]) -> Tensor:
    for axis, start, edge in zip((-3, -2, -1), before, size, strict=True):
        length = volume.shape[axis]
        if edge != length:
            places = (torch.arange(edge, device=volume.device) - start).clamp_(0, length - 1)
            volume = volume.index_select(axis, places)
    return volume


def centre_in_box(
    image: Tensor, min_size: Shape, fill: Fill = 0
) -> tuple[Tensor, tuple[slice, ...]]:
    """Pad an image on both sides of each axis that is shorter than `min_size`.

    Args:
        image: (c, z, y, x).
        min_size: Smallest edges of the result.
        fill: Value of the padded voxels.

    Returns:
        The padded image, and the slices of the original image in it.
    """
    lengths = image.shape[1:]
    before = [max(edge - length, 0) // 2 for edge, length in zip(min_size, lengths, strict=True)]
    size = [max(edge, length) for edge, length in zip(min_size, lengths, strict=True)]
    inside = (slice(start, start + length) for start, length in zip(before, lengths, strict=True))
    return pad_to_box(image, before, size, fill), tuple(inside)

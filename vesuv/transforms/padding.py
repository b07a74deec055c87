"""Padding of a volume to a larger box."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from vesuv.types import Shape


def pad_to_box(
    volume: Tensor, before: Sequence[int], size: Sequence[int], value: float = 0
) -> Tensor:
    """Pad a volume to a box with one value; the volume itself is returned if it fills the box.

    Args:
        volume: (..., z, y, x).
        before: Number of padded voxels before the volume, along z, y, x.
        size: Edges of the box.
        value: Value of the padded voxels.
    """
    pads: list[int] = []
    for start, length, edge in zip(before, volume.shape[-3:], size, strict=True):
        pads = [start, edge - length - start, *pads]
    return F.pad(volume, pads, value=value) if any(pads) else volume


def centre_in_box(image: Tensor, min_size: Shape) -> tuple[Tensor, tuple[slice, ...]]:
    """Pad an image with zeros on both sides of each axis that is shorter than `min_size`.

    Args:
        image: (c, z, y, x).
        min_size: Smallest edges of the result.

    Returns:
        The padded image, and the slices of the original image in it.
    """
    lengths = image.shape[1:]
    before = [max(edge - length, 0) // 2 for edge, length in zip(min_size, lengths, strict=True)]
    size = [max(edge, length) for edge, length in zip(min_size, lengths, strict=True)]
    inside = (slice(start, start + length) for start, length in zip(before, lengths, strict=True))
    return pad_to_box(image, before, size), tuple(inside)

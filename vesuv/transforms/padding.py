"""The one padding: a volume placed in a larger box."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from vesuv.types import Shape


def placed(volume: Tensor, before: Sequence[int], size: Sequence[int], value: float = 0) -> Tensor:
    """Return a box of one value that holds a volume; the volume itself where it fills the box.

    Args:
        volume: (..., z, y, x).
        before: Voxels of the box before the volume's first one, along z, y, x.
        size: Edges of the box.
        value: What the rest of the box holds.
    """
    pads: list[int] = []
    for start, length, edge in zip(before, volume.shape[-3:], size, strict=True):
        pads = [start, edge - length - start, *pads]
    return F.pad(volume, pads, value=value) if any(pads) else volume


def centred(image: Tensor, least: Shape) -> tuple[Tensor, tuple[slice, ...]]:
    """Centre an image in zeros along each axis that is shorter than `least`.

    Args:
        image: (c, z, y, x).
        least: Edges that the result has at least.

    Returns:
        The image, and where in it the original lies.
    """
    lengths = image.shape[1:]
    before = [max(edge - length, 0) // 2 for edge, length in zip(least, lengths, strict=True)]
    size = [max(edge, length) for edge, length in zip(least, lengths, strict=True)]
    inside = (slice(start, start + length) for start, length in zip(before, lengths, strict=True))
    return placed(image, before, size), tuple(inside)

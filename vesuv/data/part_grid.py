"""Division of a volume into the parts that are read and written one after the other."""

from __future__ import annotations

import itertools

from vesuv.data.blocks import BLOCK_SIZE
from vesuv.types import Region, Shape

PART_VOXELS = 2**23
"""Voxels of a part, all channels counted, at most; more only where single slices are larger."""
_ROW = 512
"""Longest row of a part."""
_CHUNK_EDGES = (128, 64, 32)
"""Usual edges of chunks: a part that cuts fewer chunks decodes fewer of them twice."""
_RESAMPLED_SHARE = 4
"""Resampling takes about so many times the memory of the voxels."""


def part_regions(
    shape: Shape, num_channels: int, *, reads_slices: bool, source: Shape | None = None
) -> list[Region]:
    """Return regions that cover a volume once and begin at multiples of `BLOCK_SIZE`.

    Args:
        shape: The volume.
        num_channels: Its channels.
        reads_slices: Whether a file is read slice by slice, so that parts hold whole slices.
        source: Shape of the volume that this one is resampled from.
    """
    share = 1 if source is None else _RESAMPLED_SHARE
    edges = _edges(source or shape, PART_VOXELS // num_channels // share, reads_slices=reads_slices)
    if source is not None:
        edges = _edges_of_target(edges, source, shape)
    ranges = (
        [slice(start, min(start + edge, length)) for start in range(0, length, edge)]
        for edge, length in zip(edges, shape, strict=True)
    )
    return [(z, y, x) for z, y, x in itertools.product(*ranges)]


def _edges(shape: Shape, num_voxels: int, *, reads_slices: bool) -> Shape:
    _, height, width = shape
    if reads_slices:
        return _blocks(num_voxels // (height * width)), _blocks(height + 15), _blocks(width + 15)
    x = _blocks(min(width + 15, _ROW))
    side = _chunks(int((num_voxels / x) ** 0.5))
    y = min(_blocks(height + 15), max(side, _chunks(num_voxels // (x * shape[0]))))
    return _chunks(num_voxels // (x * y)), y, x


def _edges_of_target(edges: Shape, source: Shape, target: Shape) -> Shape:
    z, y, x = (
        _blocks(int(edge * min(1.0, new / old)))
        for edge, old, new in zip(edges, source, target, strict=True)
    )
    return z, y, x


def _chunks(length: int) -> int:
    """Return the largest multiple of a usual edge of chunks up to a length."""
    edge = next((edge for edge in _CHUNK_EDGES if edge <= length), BLOCK_SIZE)
    return max(1, length // edge) * edge


def _blocks(length: int) -> int:
    """Return the largest multiple of `BLOCK_SIZE` up to a length, at least one block."""
    return max(1, length // BLOCK_SIZE) * BLOCK_SIZE

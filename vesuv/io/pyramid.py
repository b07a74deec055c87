"""Coarser levels of an OME-Zarr image, written shard by shard, and its metadata."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.io.formats.volume import Volume
from vesuv.io.formats.zarr_ import ZarrGeometry, geometry_like, multiscales
from vesuv.io.sharded import ShardedArray
from vesuv.types import Array, Progress, no_progress

Downsample = Callable[[Array], Array]
"""Array (..., z, y, x) of even edges -> array of half the edges."""


def mean_of_eight(voxels: Array) -> Array:
    """Return the rounded mean of each 2x2x2 voxels of unsigned integers."""
    total: Array = np.stack(_eight(voxels)).sum(axis=0, dtype=np.uint32)
    mean: Array = ((total + 4) // 8).astype(voxels.dtype)
    return mean


def labels_of_eight(background: int) -> Downsample:
    """Return the downsampling of a mask, in which thin structures survive.

    A voxel is background where all eight are; else it has the most frequent other label of them, of
    equally frequent ones the first that any of them holds.
    """

    def downsample(voxels: Array) -> Array:
        parts = _eight(voxels)
        result: Array = np.full(parts[0].shape, background, voxels.dtype)
        most: Array = np.zeros(parts[0].shape, np.uint8)
        for label in np.unique(voxels):
            if label != background:
                counts: Array = np.stack([part == label for part in parts]).sum(0, np.uint8)
                is_most = counts > most
                result[is_most] = label
                most[is_most] = counts[is_most]
        return result

    return downsample


def num_levels(shape: Sequence[int], smallest: int) -> int:
    """Return the number of levels: the last is the first whose edges are at most `smallest`."""
    count, longest = 1, max(shape)
    while longest > smallest:
        longest, count = -(-longest // 2), count + 1
    return count


def write_pyramid(
    image: Path,
    downsample: Downsample,
    fill_value: int = 0,
    smallest: int = 128,
    progress: Progress = no_progress,
) -> int:
    """Write levels 1, 2, ... of an image from its level 0.

    Memory: one shard of the level that is written, and one of the level below.

    Args:
        image: Folder of the image, with its level 0.
        downsample: Halves the edges.
        fill_value: Value of shards that are not written.
        smallest: Edge of a volume that needs no further level.
        progress: Called with the numbers of written and of all levels.

    Returns:
        The number of levels.
    """
    count = num_levels(ShardedArray(image / "0").shape[-3:], smallest)
    for level in range(1, count):
        source = ShardedArray(image / str(level - 1))
        spatial = [-(-edge // 2) for edge in source.shape[-3:]]
        target = ShardedArray.create(
            image / str(level),
            (*source.shape[:-3], *spatial),
            source.dtype,
            chunks=source.chunks,
            shards=source.shards,
            fill_value=fill_value,
        )
        _write_level(source, target, downsample)
        progress(level, count - 1)
    return count


def write_metadata(image: Path, like: Volume, num: int, ndim: int, others: dict[str, Any]) -> None:
    """Write the group's OME-Zarr 0.5 metadata: until then, readers refuse the image.

    Args:
        image: Folder of the image.
        like: Volume whose spacing, unit and origin it has.
        num: Number of levels.
        ndim: 3 for (z, y, x), 4 for (c, z, y, x).
        others: Further attributes of the group.
    """
    import zarr

    geometry = like.geometry if isinstance(like.geometry, ZarrGeometry) else None
    ome = multiscales(ndim, (geometry.ome if geometry else None) or geometry_like(like), num)
    group = zarr.open_group(str(image), mode="a", zarr_format=3)
    group.attrs.update({**others, "ome": ome})


def _write_level(source: ShardedArray, target: ShardedArray, downsample: Downsample) -> None:
    starts = [
        range(0, edge, shard) for edge, shard in zip(target.shape, target.shards, strict=True)
    ]
    for corner in itertools.product(*starts):
        region = [
            slice(start, min(start + shard, edge))
            for start, shard, edge in zip(corner, target.shards, target.shape, strict=True)
        ]
        target.write(region, _halved(source, region, downsample))


def _halved(source: ShardedArray, region: Sequence[slice], downsample: Downsample) -> Array:
    """One shard of the next level, of whose sources one eighth is in memory at a time."""
    result: Array = np.empty([part.stop - part.start for part in region], source.dtype)
    parts = [_halves(part) for part in region[-3:]]
    for z, y, x in itertools.product(*parts):
        at = [
            slice(2 * part.start, min(2 * part.stop, edge))
            for part, edge in zip((z, y, x), source.shape[-3:], strict=True)
        ]
        voxels = source[(*region[:-3], *at)]
        padding = [(0, 0)] * (voxels.ndim - 3) + [(0, edge % 2) for edge in voxels.shape[-3:]]
        inner = tuple(
            slice(part.start - outer.start, part.stop - outer.start)
            for part, outer in zip((z, y, x), region[-3:], strict=True)
        )
        z_in, y_in, x_in = inner
        result[..., z_in, y_in, x_in] = downsample(np.pad(voxels, padding, mode="edge"))
    return result


def _halves(part: slice) -> list[slice]:
    middle = part.start + (part.stop - part.start + 1) // 2
    halves = [slice(part.start, middle), slice(middle, part.stop)]
    return [half for half in halves if half.stop > half.start]


def _eight(voxels: Array) -> list[Array]:
    return [voxels[..., z::2, y::2, x::2] for z, y, x in itertools.product((0, 1), repeat=3)]

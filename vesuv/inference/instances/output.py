"""Writing of instances: slab by slab, or block by block into an OME-Zarr image."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from vesuv.inference.instances.arrays import whole
from vesuv.inference.instances.segmentation import Instances
from vesuv.io.atomic import catch_write_errors
from vesuv.io.formats import suffix
from vesuv.io.formats.volume import Volume
from vesuv.io.formats.zarr_ import CHUNK_EDGE
from vesuv.io.pyramid import write_metadata, write_pyramid
from vesuv.io.sharded import ShardedArray
from vesuv.io.slabs import write_slabs
from vesuv.types import Array


def write_instances(file: Path, instances: Instances, like: Volume) -> int:
    """Write instances, whole or not at all.

    Args:
        file: Its ending determines the format.
        instances: Instances of a volume.
        like: Volume whose spacing, unit, origin and orientation are written.

    Returns:
        The number of instances.

    Raises:
        InputError: The format cannot hold them, or the folder cannot be written.
    """
    shape = instances.grid.shape
    if suffix(file) == ".zarr":
        _write_zarr(file, instances, like)
    else:
        _, rows, columns = whole(shape)

        def read(_channel: int, slices: slice) -> Array:
            return instances.read((slices, rows, columns))

        write_slabs(file, shape, np.dtype(np.uint32), read, like)
    return instances.num


def _write_zarr(file: Path, instances: Instances, like: Volume) -> None:
    """Write a sharded OME-Zarr image beside its place, then move it there."""
    grid = instances.grid
    temporary = file.with_name(f".{file.name}.partial")
    with catch_write_errors(file):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        array = ShardedArray.create(
            temporary / "0",
            grid.shape,
            np.dtype(np.uint32),
            chunks=(CHUNK_EDGE,) * 3,
            shards=grid.block,
        )
        for block in grid.blocks():
            array.write(block.region, instances.read(block.region))
        count = write_pyramid(temporary, _every_second)
        write_metadata(temporary, like, count, 3, {})
        shutil.rmtree(file, ignore_errors=True)
        temporary.rename(file)


def _every_second(voxels: Array) -> Array:
    """Return every second voxel: instances have no mean."""
    half: Array = voxels[..., ::2, ::2, ::2]
    return half

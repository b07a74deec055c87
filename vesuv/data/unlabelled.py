"""Volumes without labels: cases whose voxels all have one label value."""

from __future__ import annotations

import numpy as np

from vesuv.data.case import Case
from vesuv.data.case_files import LazyCase, file_names
from vesuv.data.case_paths import CasePaths
from vesuv.io.formats.volume import Volume
from vesuv.io.grid import check_same_grid, read_channels
from vesuv.io.lazy import open_lazy
from vesuv.io.lazy.volume import ArrayVoxels, ChannelFiles, empty_array, read_region
from vesuv.types import Array, Shape


def read_unlabelled(files: CasePaths) -> Case:
    """Read the image of a case without a label.

    Args:
        files: Its files; `fill` is the label value of every voxel.

    Raises:
        InputError: A file cannot be used; the message names it and the reason.
    """
    if files.level:
        volumes = open_unlabelled(files)
        z, y, x = (slice(0, edge) for edge in volumes.image.shape[1:])
        image = read_region(volumes.image, (z, y, x), volumes.names[0])
        return _case(files, volumes.case, image)
    geometry, image = read_channels(files.images)
    return _case(files, geometry, image)


def open_unlabelled(files: CasePaths) -> LazyCase:
    """Open the image of a case without a label, without reading its voxels.

    Raises:
        InputError: As `read_unlabelled`.
    """
    images = [open_lazy(path, level=files.level) for path in files.images]
    header = images[0].header
    for path, volume in zip(files.images[1:], images[1:], strict=True):
        check_same_grid((path, volume.header), (files.images[0], header), ("channel", "channel"))
    voxels = tuple(volume.voxels for volume in images)
    image = voxels[0] if len(voxels) == 1 else ChannelFiles(voxels)
    case = _case(files, header, empty_array(image.shape, image.dtype))
    return LazyCase(case, image, ArrayVoxels(case.label[np.newaxis]), file_names(files))


def _case(files: CasePaths, geometry: Volume | Case, image: Array) -> Case:
    assert files.fill is not None
    z, y, x = image.shape[1:]
    label = _constant((z, y, x), files.fill)
    place = geometry.spacing, files.group, geometry.unit, geometry.direction
    return Case(files.id, image, label, *place)


def _constant(shape: Shape, value: int) -> Array:
    """Return an array of one value that takes no memory."""
    return np.broadcast_to(np.asarray(value, np.int32), shape)

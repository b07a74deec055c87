"""Uncompressed NIfTI files, read region by region."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vesuv.files import open_regular
from vesuv.io.formats.nifti import header_of, open_image
from vesuv.io.formats.volume import IMAGE_2D_NDIM, FormatError, require_volume
from vesuv.io.lazy.raw import RawVoxels
from vesuv.io.lazy.volume import LazyVolume, empty_array


def open_nifti(path: Path) -> LazyVolume:
    """Open a file whose voxels are not compressed.

    Raises:
        FormatError: It is damaged, or no volume.
    """
    with open_regular(path) as file:
        size = path.stat().st_size
        image = open_image(file, size)
        offset, dtype = int(image.dataobj.offset), image.get_data_dtype()
        slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    shape = tuple(int(edge) for edge in image.shape[::-1])
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    shape = (1, *shape) if len(shape) == IMAGE_2D_NDIM else shape
    if int(np.prod(shape, dtype=object)) * dtype.itemsize + offset > size:
        raise FormatError("truncated: its header claims more voxels than it holds; copy it again")
    require_volume(empty_array(shape, dtype), "channels, z, y, x")
    c, z, y, x = shape if len(shape) == 4 else (1, *shape)
    voxels = RawVoxels(path, offset, (c, z, y, x), dtype, slope=slope, intercept=intercept)
    array = empty_array(shape, voxels.dtype)
    return LazyVolume(voxels, header_of(image, array))

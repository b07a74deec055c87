"""NumPy files, read region by region."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vesuv.files import open_regular
from vesuv.io.formats.npy import read, volume_of
from vesuv.io.formats.volume import IMAGE_2D_NDIM, FormatError
from vesuv.io.lazy.raw import RawVoxels
from vesuv.io.lazy.volume import ArrayVoxels, LazyVolume, empty_array


def open_npy(path: Path) -> LazyVolume:
    """Open an array (z, y, x) or (c, z, y, x); an image (y, x) is read whole.

    Raises:
        FormatError: It is no volume, or in Fortran order.
    """
    with open_regular(path) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            header = np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = header(file)
        offset = file.tell()
    if len(shape) == IMAGE_2D_NDIM:
        image = read(path)
        return LazyVolume(ArrayVoxels(image.channels), image)
    header_volume = volume_of(empty_array(shape, dtype))
    if is_fortran:
        raise FormatError("is read in parts only in C order, found Fortran order; save it again")
    c, z, y, x = shape if len(shape) == 4 else (1, *shape)
    return LazyVolume(RawVoxels(path, offset, (c, z, y, x), dtype), header_volume)

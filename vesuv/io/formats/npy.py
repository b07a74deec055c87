"""NumPy files, which hold no geometry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vesuv.files import open_regular
from vesuv.io.formats.volume import (
    IMAGE_2D_NDIM,
    NO_SPACING,
    Volume,
    check_claimed_size,
    require_volume,
    without_slice_axis,
)
from vesuv.types import Array


@dataclass(frozen=True)
class NpyGeometry:
    """Number of axes of the file: 2 for an image (y, x), whose mask has as many."""

    ndim: int


def read(path: Path) -> Volume:
    """Read (z, y, x), (c, z, y, x), or one slice (y, x); the spacing is 1."""
    with open_regular(path) as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            header = np.lib.format.read_array_header_2_0
        shape, _, kind = header(file)
        check_claimed_size(shape, kind.itemsize, path.stat().st_size - file.tell())
        file.seek(0)
        array = np.lib.format.read_array(file, allow_pickle=False)
    return volume_of(array)


def volume_of(array: Array) -> Volume:
    """Return an array of a file as a volume; (y, x) is one slice."""
    volume = array[np.newaxis] if array.ndim == IMAGE_2D_NDIM else array
    return Volume(require_volume(volume, "shape"), NO_SPACING, NpyGeometry(array.ndim))


def is_image_2d(volume: Volume | None) -> bool:
    """Return whether a volume is of a NumPy file (y, x)."""
    geometry = None if volume is None else volume.geometry
    return isinstance(geometry, NpyGeometry) and geometry.ndim == IMAGE_2D_NDIM


def write(path: Path, array: Array, like: Volume | None) -> None:
    """Write in C order; the mask of a file (y, x) is (y, x)."""
    array = without_slice_axis(array) if is_image_2d(like) else array
    np.save(path, np.ascontiguousarray(array), allow_pickle=False)

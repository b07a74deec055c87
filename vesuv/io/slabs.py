"""Writing of volumes slab by slab, in the formats that allow it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.errors import InputError
from vesuv.io.atomic import atomic_replace, catch_write_errors
from vesuv.io.formats import IMAGE_2D_SUFFIXES, suffix, write
from vesuv.io.formats.nifti import new_image
from vesuv.io.formats.npy import is_image_2d
from vesuv.io.formats.tiff import write_pages
from vesuv.io.formats.volume import Volume
from vesuv.io.lazy.volume import empty_array
from vesuv.types import Array

SLAB_SUFFIXES = (".tif", ".tiff", ".nii", ".nii.gz", ".npy")
"""Endings of the files that can be written slab by slab."""

ReadSlab = Callable[[int, slice], Array]
"""Slices (z, y, x) of one channel."""
_SLAB_BYTES = 1 << 28


def write_slabs(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], read: ReadSlab, like: Volume
) -> None:
    """Write a volume that is not in memory, whole or not at all.

    Args:
        path: Its ending determines the format, one of `SLAB_SUFFIXES`.
        shape: (z, y, x) or (c, z, y, x).
        dtype: Number type.
        read: Returns the voxels of a channel (0 without channels) and a range of z.
        like: Volume whose spacing, unit, origin and orientation are written.

    Raises:
        InputError: The format cannot be written so, or the folder cannot be written.
    """
    ending = suffix(path)
    if ending in IMAGE_2D_SUFFIXES or (ending == ".npy" and is_image_2d(like)):  # one slice
        write(path, np.concatenate(list(_slabs(shape, dtype, read))), like)
        return
    if ending not in SLAB_SUFFIXES:
        raise InputError(
            f"{path}: volumes of this size are written as {', '.join(SLAB_SUFFIXES)} or .zarr, "
            f"found {ending}; name an output that ends in .zarr"
        )
    slabs = _slabs(shape, dtype, read)
    with catch_write_errors(path), atomic_replace(path, ending=ending) as temporary:
        if ending in (".tif", ".tiff"):
            write_pages(temporary, (page for slab in slabs for page in slab), shape, dtype, like)
        elif ending == ".npy":
            _write_npy(temporary, slabs, shape, dtype)
        else:
            _write_nifti(temporary, slabs, shape, dtype, like)


def _slabs(shape: tuple[int, ...], dtype: np.dtype[Any], read: ReadSlab) -> Iterator[Array]:
    depth, height, width = shape[-3:]
    num = max(1, _SLAB_BYTES // (height * width * dtype.itemsize))
    for channel in range(shape[0] if len(shape) == 4 else 1):
        for start in range(0, depth, num):
            yield read(channel, slice(start, min(start + num, depth)))


def _write_npy(
    path: Path, slabs: Iterator[Array], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for slab in slabs:
            file.write(np.ascontiguousarray(slab).data)


def _write_nifti(
    path: Path, slabs: Iterator[Array], shape: tuple[int, ...], dtype: np.dtype[Any], like: Volume
) -> None:
    image = new_image(empty_array(shape, dtype), like)
    image.update_header()
    header = image.header
    header.set_slope_inter(1, 0)
    stored = header.get_data_dtype()
    with path.open("wb") as raw:
        file: Any = raw
        if path.name.endswith(".gz"):
            file = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0)
        with file:
            header.write_to(file)
            file.write(bytes(header.get_data_offset() - file.tell()))
            for slab in slabs:
                file.write(np.ascontiguousarray(slab, stored).data)

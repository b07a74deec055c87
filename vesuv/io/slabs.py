"""Writing of volumes slab by slab, in the formats that allow it."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.io.atomic import atomic_replace, catch_write_errors
from vesuv.io.formats import suffix, write
from vesuv.io.formats.nifti import new_image
from vesuv.io.formats.tiff import write_pages
from vesuv.io.formats.volume import Volume
from vesuv.io.formats.zarr_ import CHUNK_EDGE, create
from vesuv.io.lazy.volume import empty_array
from vesuv.types import Array

SLAB_SUFFIXES = (".tif", ".tiff", ".nii", ".nii.gz", ".npy", ".zarr")
"""Endings of the files that can be written slab by slab."""

ReadSlab = Callable[[int, slice], Array]
"""Slices (z, y, x) of one channel."""
_SLAB_BYTES = 1 << 28


def write_slabs(
    path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], read: ReadSlab, like: Volume
) -> None:
    """Write a volume that is not in memory, whole or not at all.

    Args:
        path: Its ending determines the format; one that is none of `SLAB_SUFFIXES` is written from
            memory.
        shape: (z, y, x) or (c, z, y, x).
        dtype: Number type.
        read: Returns the voxels of a channel (0 without channels) and a range of z.
        like: Volume whose spacing, unit, origin and orientation are written.

    Raises:
        InputError: The folder cannot be written.
    """
    ending = suffix(path)
    slabs = _slabs(shape, dtype, read, CHUNK_EDGE if ending == ".zarr" else 1)
    if ending not in SLAB_SUFFIXES or shape[-3] == 1:
        write(path, np.concatenate(list(slabs)).reshape(shape), like)
        return
    with catch_write_errors(path), atomic_replace(path, ending=ending) as temporary:
        if ending in (".tif", ".tiff"):
            write_pages(temporary, (page for slab in slabs for page in slab), shape, dtype, like)
        elif ending == ".npy":
            _write_npy(temporary, slabs, shape, dtype)
        elif ending == ".zarr":
            _write_zarr(temporary, slabs, shape, dtype, like)
        else:
            _write_nifti(temporary, slabs, shape, dtype, like)


def _slabs(
    shape: tuple[int, ...], dtype: np.dtype[Any], read: ReadSlab, multiple: int
) -> Iterator[Array]:
    """Yield the slabs in order; all but the last of a channel have a multiple of so many slices."""
    depth, height, width = shape[-3:]
    num = max(1, _SLAB_BYTES // (height * width * dtype.itemsize) // multiple) * multiple
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


def _write_zarr(
    path: Path, slabs: Iterator[Array], shape: tuple[int, ...], dtype: np.dtype[Any], like: Volume
) -> None:
    node, start = create(path, shape, dtype, like), 0
    for slab in slabs:
        channel, z = divmod(start, shape[-3])
        node[(channel,) * (len(shape) == 4) + (slice(z, z + len(slab)),)] = slab
        start += len(slab)


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

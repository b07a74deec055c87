"""NIfTI-1 and -2 through nibabel; a mask is written with the image's whole header."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.files import open_regular
from vesuv.io.formats.units import convert
from vesuv.io.formats.unpacked import DEFLATE_RATIO
from vesuv.io.formats.volume import (
    IMAGE_2D_NDIM,
    NO_SPACING,
    FormatError,
    Origin,
    Volume,
    check_claimed_size,
    require_volume,
    without_slice_axis,
)
from vesuv.types import Array

_CHANNEL_AXIS = 3
_MAX_TRAILING = 64
"""Megabytes behind the voxels that are read at most to verify the checksum."""
_NIFTI1_HEADER, _NIFTI2_HEADER = 348, 540
"""Bytes of the headers, which each states in its first field."""
_MAX_OFFSET = 64 * 2**20
"""Upper bound of the bytes in front of the voxels, which hold the header and its extensions."""
_SCALED_ITEMSIZE = 12
"""Bytes of a scaled voxel: nibabel computes in float64, and the volume is float32."""
_UNITS = {1: "m", 2: "mm", 3: "µm"}
"""Codes of the header's xyzt_units for space."""
_NIBABEL_UNITS = {"m": "meter", "mm": "mm", "µm": "micron"}
_LPS_FROM_RAS = np.array([-1.0, -1.0, 1.0])
_MAX_EDGE_RATIO = 1.2
"""A sheared affine, of a tilted CT gantry, has an edge longer than the header's by its cosine."""


@dataclass(frozen=True)
class NiftiGeometry:
    """Affine and header of a nibabel image."""

    affine: Array
    header: Any


def read(path: Path) -> Volume:
    """Read a file; intensities are scaled by the header's slope unless it is the identity."""
    is_compressed = path.name.lower().endswith(".gz")
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size * (DEFLATE_RATIO if is_compressed else 1)
        stream: Any = gzip.GzipFile(fileobj=file) if is_compressed else file
        image = open_image(stream, size)
        is_scaled = (image.dataobj.slope, image.dataobj.inter) != (1, 0)
        itemsize = image.get_data_dtype().itemsize
        memory_itemsize = itemsize + _SCALED_ITEMSIZE if is_scaled else itemsize
        check_claimed_size(image.shape, itemsize, size, memory_itemsize)
        raw: Array = np.asanyarray(image.dataobj)
        if is_compressed:
            _read_to_end(stream)
    while raw.ndim > _CHANNEL_AXIS and raw.shape[-1] == 1:
        raw = raw[..., 0]
    raw = raw.astype(np.float32) if is_scaled else raw
    array = raw.T[np.newaxis] if raw.ndim == IMAGE_2D_NDIM else raw.T
    return header_of(image, require_volume(array, "channels, z, y, x"))


def header_of(image: Any, array: Array) -> Volume:
    """Return an array with the geometry of a nibabel image."""
    dx, dy, *others = (float(edge) for edge in image.header.get_zooms())
    dz = others[0] if others else 1.0  # one slice
    _check_edges(image, [dx, dy, *others[:1]])
    geometry = NiftiGeometry(image.affine, image.header.copy())
    unit = _UNITS.get(int(image.header["xyzt_units"]) & 7)
    return Volume(array, (dz, dy, dx), geometry, *_placement(image), unit)


def _check_edges(image: Any, edges: list[float]) -> None:
    """Refuse a header that says two voxel sizes: which one is meant cannot be known."""
    if not image.header["sform_code"]:
        return
    axes = image.affine[:3, : len(edges)]
    found = np.linalg.norm(axes, axis=0)
    ratio = np.maximum(found, edges) / np.maximum(np.minimum(found, edges), np.finfo(float).tiny)
    if not np.all(ratio <= _MAX_EDGE_RATIO):
        raise FormatError(
            f"its header says two voxel sizes: pixdim {_sizes(edges)}, sform {_sizes(found)} "
            "(x, y, z); set the wrong one by the other"
        )


def _sizes(edges: Iterable[float]) -> str:
    return "×".join(f"{edge:.4g}" for edge in edges)


def open_image(stream: Any, size: float) -> Any:
    """Open the image behind the header; the class is chosen by the header alone."""
    import nibabel

    head = stream.read(_NIFTI2_HEADER)
    order = next((order for order in "<>" if head[:4] in _header_sizes(order)), None)
    if order is None:
        raise FormatError(
            f"truncated, damaged or not a NIfTI file: its header begins with {head[:4]!r}; copy it "
            "again"
        )
    is_nifti1 = head[:4] == _header_sizes(order)[0]
    magic = head[344:348] if is_nifti1 else head[4:8]
    if magic not in (b"n+1\0", b"n+2\0"):
        raise FormatError(
            f"its voxels must lie in the file itself, found the magic {magic!r} of a header "
            "without voxels; save it as one .nii file"
        )
    place, kind = (108, "f") if is_nifti1 else (168, "q")
    (offset,) = struct.unpack_from(order + kind, head, place)
    most = min(size, _MAX_OFFSET)
    if not 0 <= offset <= most:
        raise FormatError(
            f"truncated or damaged: its voxels begin at byte {most:.0f} at the latest, found "
            f"{offset:.0f}; copy it again"
        )
    stream.seek(0)
    image_class: Any = nibabel.Nifti1Image if is_nifti1 else nibabel.Nifti2Image
    return image_class.from_stream(stream)


def _header_sizes(order: str) -> tuple[bytes, bytes]:
    """The first four bytes of NIfTI-1 and of NIfTI-2."""
    return struct.pack(f"{order}i", _NIFTI1_HEADER), struct.pack(f"{order}i", _NIFTI2_HEADER)


def _placement(image: Any) -> tuple[tuple[float, ...] | None, Origin | None]:
    """Direction and origin in LPS coordinates; None where the header holds no affine."""
    if not image.header["qform_code"] and not image.header["sform_code"]:
        return None, None
    axes = image.affine[:3, :3].T * _LPS_FROM_RAS
    lengths = np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), np.finfo(float).tiny)
    x, y, z = (image.affine[:3, 3] * _LPS_FROM_RAS).tolist()
    return tuple(np.flip(axes / lengths).ravel().tolist()), (z, y, x)


def _read_to_end(stream: gzip.GzipFile) -> None:
    """Read the rest of the file behind the voxels: gzip verifies its checksum at the end."""
    for _ in range(_MAX_TRAILING):
        if not stream.read(1 << 20):
            return
    raise FormatError(
        "holds more than its header says, damaged or a decompression bomb; replace it"
    )


def write(path: Path, array: Array, like: Volume | None) -> None:
    """Write with the header of `like`, or with its spacing and unit if it has another format."""
    import nibabel

    library: Any = nibabel
    array = array.view(np.uint8) if array.dtype == np.bool_ else array
    array = array.astype(np.float32) if array.dtype == np.float16 else array
    library.save(new_image(array, like), path)


def new_image(array: Array, like: Volume | None) -> Any:
    """Return a nibabel image of an array, with the header of `like`, see `write`."""
    import nibabel

    library: Any = nibabel
    if like is None or not isinstance(like.geometry, NiftiGeometry):
        return _with_spacing(library, array, like)
    header = like.geometry.header.copy()
    if header["dim"][0] == IMAGE_2D_NDIM:
        array = without_slice_axis(array)
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    is_nifti2 = isinstance(header, library.Nifti2Header)
    image_class = library.Nifti2Image if is_nifti2 else library.Nifti1Image
    return image_class(array.T, None, header)


def _with_spacing(library: Any, array: Array, like: Volume | None) -> Any:
    """An image with a diagonal affine, in a unit that NIfTI supports."""
    unit = None if like is None else like.unit
    target = unit if unit in _NIBABEL_UNITS else "µm"
    edges = NO_SPACING if like is None else like.spacing
    dz, dy, dx = (convert(edge, unit, target) for edge in edges)
    image = library.Nifti1Image(array.T, np.diag([dx, dy, dz, 1.0]), dtype=array.dtype)
    if unit is not None:
        image.header.set_xyzt_units(_NIBABEL_UNITS[target])
    return image

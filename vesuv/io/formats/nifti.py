"""NIfTI-1 and -2 through nibabel; the header travels whole, so the affine is bit-identical."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.io.formats.volume import (
    DEFLATE_RATIO,
    Array,
    FormatError,
    Volume,
    check_claim,
    require_volume,
)

_CHANNEL_AXIS = 3
_MOST_TRAILING = 64
"""Megabytes behind the voxels that are read for the checksum's sake."""


@dataclass(frozen=True)
class NiftiGeometry:
    """Header and affine as nibabel holds them."""

    affine: Array
    header: Any


def read(path: Path) -> Volume:
    """Read; intensities are scaled by the header's slope only when it is not the identity."""
    import nibabel

    image: Any = nibabel.load(path)
    packed = path.name.lower().endswith(".gz")
    size = path.stat().st_size * (DEFLATE_RATIO if packed else 1)
    check_claim(image.shape, image.get_data_dtype().itemsize, size)
    raw = _unpacked(type(image), path) if packed else np.asanyarray(image.dataobj)
    while raw.ndim > _CHANNEL_AXIS and raw.shape[-1] == 1:
        raw = raw[..., 0]
    raw = raw.astype(np.float32) if raw.dtype == np.float64 else raw
    array = require_volume(raw.T, "channels, z, y, x")
    dx, dy, dz = (float(edge) for edge in image.header.get_zooms()[:3])
    geometry = NiftiGeometry(image.affine, image.header.copy())
    axes = image.affine[:3, :3].T
    lengths = np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), np.finfo(float).tiny)
    return Volume(array, (dz, dy, dx), geometry, tuple((axes / lengths).ravel().tolist()))


def _unpacked(kind: Any, path: Path) -> Array:
    """Read the voxels and go on to the end of the file, where gzip keeps its checksum."""
    with gzip.open(path) as stream:
        array: Array = np.asanyarray(kind.from_stream(stream).dataobj)
        for _ in range(_MOST_TRAILING):
            if not stream.read(1 << 20):
                return array
    raise FormatError("holds more than its header says, damaged or packed to harm; replace it")


def write(path: Path, array: Array, like: Volume | None) -> None:
    """Write with the header of `like`; without one, its spacing on the diagonal of the affine."""
    import nibabel

    library: Any = nibabel
    array = array.view(np.uint8) if array.dtype == np.bool_ else array
    array = array.astype(np.float32) if array.dtype == np.float16 else array
    if like is None or not isinstance(like.geometry, NiftiGeometry):
        dz, dy, dx = (1.0, 1.0, 1.0) if like is None else like.spacing
        affine = np.diag([dx, dy, dz, 1.0])
        library.save(library.Nifti1Image(array.T, affine, dtype=array.dtype), path)
        return
    header = like.geometry.header.copy()
    header.set_data_dtype(array.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    second = isinstance(header, library.Nifti2Header)
    kind = library.Nifti2Image if second else library.Nifti1Image
    library.save(kind(array.T, None, header), path)

"""NRRD and MetaImage through SimpleITK."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.errors import InputError
from vesuv.io.formats.itk_header import read_header
from vesuv.io.formats.volume import (
    IMAGE_2D_NDIM,
    FormatError,
    Volume,
    check_claimed_size,
    require_volume,
)
from vesuv.types import Array


@dataclass(frozen=True)
class ItkGeometry:
    """Spacing, origin and direction in ITK's order, and the header's other entries.

    They have two axes, (x, y), for an image of one slice, and (x, y, z) for a volume.
    """

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    metadata: dict[str, str]


def read(path: Path) -> Volume:
    """Read a file whose vector components, or whose fourth axis, become channels.

    A file of two axes is one slice.
    """
    import SimpleITK

    sitk: Any = SimpleITK
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    _refuse_undecodable(path)
    header = read_header(path)
    try:
        shape, itemsize = _header_shape(sitk, path, header.reader)
        check_claimed_size(shape, itemsize, header.max_bytes)
        header.verify_checksum(math.prod(shape) * itemsize)
        image = sitk.ReadImage(str(path), imageIO=header.reader)
    except RuntimeError as fault:
        raise FormatError(_reason(str(fault), path)) from None
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = np.moveaxis(array, -1, 0)
    num_axes = image.GetDimension()
    if num_axes not in (IMAGE_2D_NDIM, 3, 4):
        raise FormatError(
            f"a volume has 3 dimensions (and channels), found {num_axes} {image.GetSize()}; give "
            "a 3-D volume"
        )
    geometry = _geometry(image)
    if num_axes == IMAGE_2D_NDIM:
        array = np.expand_dims(array, -3)
    array = require_volume(array, "channels, z, y, x")
    (dx, dy, dz), (ox, oy, oz), directions = _in_space(geometry)
    axes = tuple(np.flip(directions.T).ravel().tolist())
    return Volume(array, (dz, dy, dx), geometry, axes, (oz, oy, ox))


def _geometry(image: Any) -> ItkGeometry:
    """Geometry of a SimpleITK image, of a fourth axis none."""
    num_axes = min(image.GetDimension(), 3)
    direction = np.reshape(image.GetDirection(), (image.GetDimension(), -1))[:num_axes, :num_axes]
    return ItkGeometry(
        spacing=image.GetSpacing()[:num_axes],
        origin=image.GetOrigin()[:num_axes],
        direction=tuple(direction.ravel().tolist()),
        metadata={key: image.GetMetaData(key) for key in image.GetMetaDataKeys()},
    )


def _in_space(geometry: ItkGeometry) -> tuple[tuple[float, ...], tuple[float, ...], Array]:
    """Spacing, origin and direction (3 x 3) along x, y, z; one slice lies at z = 0, edge 1."""
    num_axes = len(geometry.spacing)
    direction = np.eye(3)
    direction[:num_axes, :num_axes] = np.reshape(geometry.direction, (num_axes, num_axes))
    others = 3 - num_axes
    return geometry.spacing + (1.0,) * others, geometry.origin + (0.0,) * others, direction


def write(path: Path, array: Array, like: Volume | None) -> None:
    """Write compressed, with spacing, origin and direction of `like`."""
    import SimpleITK

    sitk: Any = SimpleITK
    _refuse_undecodable(path)
    array = array.view(np.uint8) if array.dtype == np.bool_ else array
    array = array.astype(np.float32) if array.dtype == np.float16 else array
    vector = array.ndim == 4
    voxels = np.ascontiguousarray(np.moveaxis(array, 0, -1) if vector else array)
    geometry = like.geometry if like is not None else None
    if isinstance(geometry, ItkGeometry) and len(geometry.spacing) == IMAGE_2D_NDIM:
        voxels = voxels[0]
    image = sitk.GetImageFromArray(voxels, isVector=vector)
    if isinstance(geometry, ItkGeometry):
        image.SetSpacing(geometry.spacing)
        image.SetOrigin(geometry.origin)
        image.SetDirection(geometry.direction)
    elif like is not None:
        image.SetSpacing(like.spacing[::-1])
    sitk.WriteImage(image, str(path), useCompression=True)


def _refuse_undecodable(path: Path) -> None:
    """Refuse a name that is no UTF-8, with which SimpleITK ends the process.

    Raises:
        InputError: Names the file.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(
            f"{path}: names of {path.suffix} files are UTF-8, found {os.fsencode(path)[-60:]!r}; "
            "rename the file or its folder"
        ) from None


def _header_shape(sitk: Any, path: Path, reader_name: str) -> tuple[tuple[int, ...], int]:
    """Shape and bytes of a voxel by the header; reads no voxel."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(reader_name)
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    bits = re.search(r"(\d+)-bit", sitk.GetPixelIDValueAsString(reader.GetPixelID()))
    components = int(reader.GetNumberOfComponents())
    return (components, *reader.GetSize()), int(bits[1]) // 8 if bits else 1


def _reason(message: str, path: Path) -> str:
    """ITK's last message without source lines, memory addresses and the path."""
    last = message.rsplit("ERROR:", 1)[-1].replace(f'"{path}"', "").replace(str(path), "")
    words = " ".join(re.sub(r"\w+\(0x[0-9a-f]+\):", "", last).split()).rsplit("[nrrd] ", 1)[-1]
    return f"truncated, damaged or not a {path.suffix} file ({words}); copy it again"

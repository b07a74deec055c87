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
from vesuv.io.formats.volume import FormatError, Volume, check_claimed_size, require_volume
from vesuv.types import Array


@dataclass(frozen=True)
class ItkGeometry:
    """Spacing, origin and direction in ITK's order, (x, y, z), and the header's other entries."""

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    metadata: dict[str, str]


def read(path: Path) -> Volume:
    """Read a file whose vector components, or whose fourth axis, become channels."""
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
    if image.GetDimension() not in (3, 4):
        raise FormatError(
            f"a volume has 3 dimensions (and channels), found {image.GetDimension()} "
            f"{image.GetSize()}; give a 3-D volume"
        )
    spacing, origin, direction = image.GetSpacing(), image.GetOrigin(), image.GetDirection()
    if image.GetDimension() == 4:
        spacing, origin = spacing[:3], origin[:3]
        direction = tuple(np.reshape(direction, (4, 4))[:3, :3].ravel().tolist())
    metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    geometry = ItkGeometry(spacing, origin, direction, metadata)
    array = require_volume(array, "channels, z, y, x")
    axes = tuple(np.flip(np.reshape(direction, (3, 3)).T).ravel().tolist())
    return Volume(array, spacing[::-1], geometry, axes, origin[::-1])


def write(path: Path, array: Array, like: Volume | None) -> None:
    """Write compressed, with spacing, origin and direction of `like`."""
    import SimpleITK

    sitk: Any = SimpleITK
    _refuse_undecodable(path)
    array = array.view(np.uint8) if array.dtype == np.bool_ else array
    array = array.astype(np.float32) if array.dtype == np.float16 else array
    vector = array.ndim == 4
    voxels = np.ascontiguousarray(np.moveaxis(array, 0, -1) if vector else array)
    image = sitk.GetImageFromArray(voxels, isVector=vector)
    if like is not None and isinstance(like.geometry, ItkGeometry):
        image.SetSpacing(like.geometry.spacing)
        image.SetOrigin(like.geometry.origin)
        image.SetDirection(like.geometry.direction)
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

"""Volumes of every supported format, read and written through one pair of functions."""

from __future__ import annotations

import errno
import math
import os
import stat as stat_module
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vesuv.errors import InputError
from vesuv.files import NotRegularError, kind_of
from vesuv.io.atomic import atomic_replace, catch_write_errors
from vesuv.io.formats import image_2d, itk, nifti, npy, tiff, zarr_
from vesuv.io.formats.volume import FormatError, Volume
from vesuv.types import Array

__all__ = [
    "IMAGE_2D_SUFFIXES",
    "SUFFIXES",
    "VOLUME_SUFFIXES",
    "Volume",
    "check_lossless",
    "mask_suffix",
    "probability_suffix",
    "read",
    "stem",
    "suffix",
    "volumes_in",
    "write",
]


@dataclass(frozen=True)
class _Format:
    name: str
    read: Callable[[Path], Volume]
    write: Callable[[Path, Array, Volume | None], None]


_TIFF = _Format("TIFF", tiff.read, tiff.write)
_NIFTI = _Format("NIfTI", nifti.read, nifti.write)
_ZARR = _Format("Zarr", zarr_.read, zarr_.write)
_JPEG = _Format("JPEG", image_2d.read_jpeg, image_2d.write_jpeg)
_VOLUME_FORMATS = {
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".nii": _NIFTI,
    ".nii.gz": _NIFTI,
    ".nrrd": _Format("NRRD", itk.read, itk.write),
    ".mha": _Format("MetaImage", itk.read, itk.write),
    ".zarr": _ZARR,
    ".npy": _Format("NPY", npy.read, npy.write),
}
_IMAGE_2D_FORMATS = {
    ".png": _Format("PNG", image_2d.read_png, image_2d.write_png),
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
}
_FORMATS = {**_VOLUME_FORMATS, **_IMAGE_2D_FORMATS}
_ACCESS_FAULTS = {
    errno.ENOENT: "no such file; check the path",
    errno.ENOTDIR: "no such file; check the path",
    errno.ELOOP: "is a link that leads back to itself; let it point to the file",
    errno.ENAMETOOLONG: "the path is longer than the system allows; shorten it",
    errno.EACCES: "may not be read by this user; change the permissions",
    errno.EPERM: "may not be read by this user; change the permissions",
}
"""Fault of the system -> what is wrong with the path, and what to do."""
_MAX_NAME = 300
"""Characters of a path in a message."""
SUFFIXES = tuple(_FORMATS)
"""Endings of the files that can be read."""
VOLUME_SUFFIXES = tuple(_VOLUME_FORMATS)
"""Endings of the formats of volumes, which can all be written."""
IMAGE_2D_SUFFIXES = tuple(_IMAGE_2D_FORMATS)
"""Endings of two-dimensional images, which are volumes of one slice."""
_TIFF_SUFFIXES = (".tif", ".tiff")


def read(path: str | Path) -> Volume:
    """Read a volume with its spacing, unit, origin and orientation.

    Raises:
        InputError: The file is missing, empty, truncated, not supported, or not 3-D.
    """
    path = Path(path)
    file_format = _format_of(path)
    try:
        _check_kind(path, file_format)
        volume = file_format.read(path)
    except FormatError as fault:
        raise InputError(f"{path}: {fault}") from None
    except MemoryError:
        raise InputError(f"{path}: the volume does not fit into memory; cut it up") from None
    except InputError:
        raise
    except Exception as fault:  # each library raises its own exceptions for a damaged file
        sentence = _access_sentence(path, fault) if isinstance(fault, OSError) else None
        if sentence:
            raise InputError(sentence) from None
        reason = " ".join(str(fault).split()) or type(fault).__name__
        raise InputError(
            f"{path}: cannot be read as {file_format.name}, truncated or damaged ({reason:.200}); "
            "copy it again"
        ) from None
    check_spacing(path, volume)
    return volume


def check_spacing(path: str | Path, volume: Volume) -> None:
    """Refuse a spacing that is none.

    Raises:
        InputError: An edge is not above 0, or not finite.
    """
    if not all(0.0 < edge < math.inf for edge in volume.spacing):
        raise InputError(
            f"{path}: voxel edges are finite and above 0, found {volume.spacing}; correct its "
            "header"
        )


def write(path: str | Path, array: Array, like: Volume | None = None) -> None:
    """Write a volume whole or not at all, compressed where the format supports it.

    Args:
        path: Its ending determines the format.
        array: (z, y, x) or (c, z, y, x).
        like: Volume whose spacing, unit, origin and orientation are written.

    Raises:
        InputError: The ending is not supported, or the folder cannot be written.
    """
    path = Path(path)
    file_format = _format_of(path)
    with catch_write_errors(path), atomic_replace(path, ending=suffix(path)) as temporary:
        try:
            file_format.write(temporary, np.asarray(array), like)
        except FormatError as fault:
            raise InputError(f"{path}: {fault}") from None


def suffix(path: str | Path) -> str:
    """Return the supported ending of a path in lower case, "" when there is none."""
    name = Path(path).name.lower()
    return max((end for end in _FORMATS if name.endswith(end)), key=len, default="")


def stem(path: str | Path) -> str:
    """Return the file's name without its supported ending."""
    name = Path(path).name
    return name[: len(name) - len(suffix(path))]


def mask_suffix(path: str | Path) -> str:
    """Return the ending of an input's mask: the input's own, .png for JPEG, which is lossy."""
    return ".png" if _FORMATS.get(suffix(path)) is _JPEG else suffix(path)


def probability_suffix(path: str | Path) -> str:
    """Return the ending of an input's probabilities: the input's own, .tif for PNG and JPEG."""
    return ".tif" if suffix(path) in IMAGE_2D_SUFFIXES else suffix(path)


def check_lossless(path: Path, role: str) -> None:
    """Refuse a file of classes in a format that does not keep values.

    Args:
        path: The file.
        role: What it is, for the message: "label".

    Raises:
        InputError: It is a JPEG.
    """
    if _FORMATS.get(suffix(path)) is _JPEG:
        raise InputError(
            f"{path}: a {role} needs a lossless format, JPEG changes class values; export it anew "
            "as PNG or TIFF"
        )


def volumes_in(folder: str | Path) -> list[Path]:
    """Return the volumes of a folder, sorted: files and .zarr folders that are not hidden.

    PNG and JPEG beside volumes of other formats than TIFF are previews, and left out.

    Raises:
        InputError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path")
    candidates = (p for p in folder.iterdir() if suffix(p) and not p.name.startswith("."))
    paths = sorted(path for path in candidates if path.is_dir() == (suffix(path) == ".zarr"))
    if all(suffix(path) in (*_TIFF_SUFFIXES, *IMAGE_2D_SUFFIXES) for path in paths):
        return paths
    return [path for path in paths if suffix(path) in VOLUME_SUFFIXES]


def _check_kind(path: Path, file_format: _Format) -> None:
    """Refuse what is no file: a folder of another format, a pipe, a device, an empty file."""
    if "\0" in str(path):
        raise FormatError("no such file; check the path")
    status = path.stat()
    is_file = stat_module.S_ISREG(status.st_mode)
    is_folder = stat_module.S_ISDIR(status.st_mode)
    if not is_file and not (is_folder and file_format is _ZARR):
        raise FormatError(
            f"is no file; give a volume in {file_format.name}, found {kind_of(status)}"
        )
    if is_file and status.st_size == 0:
        raise FormatError("the file is empty (0 bytes); copy it again")


def _access_sentence(path: Path, fault: OSError) -> str | None:
    """What keeps the path, or a file in its folder, from being opened; None for other faults."""
    reason = _ACCESS_FAULTS.get(fault.errno or 0)
    if isinstance(fault, NotRegularError):
        reason = f"{fault.strerror}; replace it"
    name = os.fsdecode(fault.filename) if isinstance(fault.filename, (str, bytes)) else str(path)
    name = name if len(name) < _MAX_NAME else f"{name[:_MAX_NAME]}…"
    return f"{name}: {reason}" if reason else None


def _format_of(path: Path) -> _Format:
    ending = suffix(path)
    if not ending and any(suffix(folder) == ".zarr" for folder in path.parents):
        return _ZARR  # an array or image inside a group
    check_ending(path)
    return _FORMATS[ending]


def check_ending(path: Path) -> None:
    """Refuse a file whose format its name does not tell.

    Raises:
        InputError: Names the endings.
    """
    if not suffix(path):
        raise InputError(
            f"{path}: files end in one of {', '.join(SUFFIXES)}, found {path.suffix or 'none'!r}; "
            "convert it"
        )

"""Volumes of every supported format, read and written through one pair of functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vesuv.errors import InputError
from vesuv.io.atomic import atomic_replace, catch_write_errors
from vesuv.io.formats import itk, nifti, npy, tiff, zarr_
from vesuv.io.formats.volume import FormatError, Volume
from vesuv.types import Array

__all__ = ["SUFFIXES", "Volume", "read", "stem", "suffix", "volumes_in", "write"]


@dataclass(frozen=True)
class _Format:
    name: str
    read: Callable[[Path], Volume]
    write: Callable[[Path, Array, Volume | None], None]


_TIFF = _Format("TIFF", tiff.read, tiff.write)
_NIFTI = _Format("NIfTI", nifti.read, nifti.write)
_ZARR = _Format("Zarr", zarr_.read, zarr_.write)
_FORMATS = {
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".nii": _NIFTI,
    ".nii.gz": _NIFTI,
    ".nrrd": _Format("NRRD", itk.read, itk.write),
    ".mha": _Format("MetaImage", itk.read, itk.write),
    ".zarr": _ZARR,
    ".npy": _Format("NPY", npy.read, npy.write),
}
SUFFIXES = tuple(_FORMATS)
"""Endings of the files that can be read and written."""


def read(path: str | Path) -> Volume:
    """Read a volume with its spacing, unit, origin and orientation.

    Raises:
        InputError: The file is missing, empty, truncated, not supported, or not 3-D.
    """
    path = Path(path)
    file_format = _format_of(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; check the path")
    if not path.is_file() and (not path.is_dir() or file_format is not _ZARR):
        raise InputError(f"{path}: is no file; give a volume in {file_format.name}")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes); copy it again")
    try:
        volume = file_format.read(path)
    except FormatError as fault:
        raise InputError(f"{path}: {fault}") from None
    except MemoryError:
        raise InputError(f"{path}: the volume does not fit into memory; cut it up") from None
    except Exception as fault:  # each library raises its own exceptions for a damaged file
        reason = " ".join(str(fault).split()) or type(fault).__name__
        raise InputError(
            f"{path}: cannot be read as {file_format.name}, truncated or damaged ({reason:.200}); "
            "copy it again"
        ) from None
    if not all(0.0 < edge < math.inf for edge in volume.spacing):
        raise InputError(
            f"{path}: voxel edges are finite and above 0, found {volume.spacing}; correct its "
            "header"
        )
    return volume


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
        file_format.write(temporary, np.asarray(array), like)


def suffix(path: str | Path) -> str:
    """Return the supported ending of a path in lower case, "" when there is none."""
    name = Path(path).name.lower()
    return max((end for end in _FORMATS if name.endswith(end)), key=len, default="")


def stem(path: str | Path) -> str:
    """Return the file's name without its supported ending."""
    name = Path(path).name
    return name[: len(name) - len(suffix(path))]


def volumes_in(folder: str | Path) -> list[Path]:
    """Return the volumes of a folder, sorted: files and .zarr folders that are not hidden.

    Raises:
        InputError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path")
    candidates = (p for p in folder.iterdir() if suffix(p) and not p.name.startswith("."))
    return sorted(path for path in candidates if path.is_dir() == (suffix(path) == ".zarr"))


def _format_of(path: Path) -> _Format:
    ending = suffix(path)
    if not ending:
        raise InputError(
            f"{path}: files end in one of {', '.join(SUFFIXES)}, found {path.suffix or 'none'!r}; "
            "convert it"
        )
    return _FORMATS[ending]

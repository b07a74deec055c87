"""Volumes of which only the requested regions are read, however large they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vesuv.errors import InputError
from vesuv.io.formats import check_spacing, read, suffix
from vesuv.io.formats.volume import FormatError
from vesuv.io.lazy import npy, tiff, zarr_
from vesuv.io.lazy.nifti import open_nifti
from vesuv.io.lazy.volume import ArrayVoxels, LazyVolume, Voxels
from vesuv.io.urls import is_url

__all__ = ["LAZY_SUFFIXES", "LazyVolume", "Voxels", "attributes", "count_levels", "open_lazy"]

LAZY_SUFFIXES = (".zarr", ".npy", ".nii", ".tif", ".tiff")
"""Endings of the files that are read region by region; others are read whole."""


def open_lazy(path: str | Path, *, level: int = 0, anonymous: bool = False) -> LazyVolume:
    """Open a volume without reading its voxels, where its format allows it.

    Args:
        path: File, Zarr folder, or address (http, https, s3) of a Zarr array or OME-Zarr image.
        level: Level of an OME-Zarr image; 0 is the finest.
        anonymous: Read from s3 without credentials.

    Raises:
        InputError: It cannot be read, or has no such level.
    """
    volume = _open(path, level, anonymous=anonymous)
    check_spacing(path, volume.header)
    return volume


def _open(path: str | Path, level: int, *, anonymous: bool) -> LazyVolume:
    ending = suffix(path)
    try:
        if _is_zarr(path):
            return zarr_.open_zarr_volume(path, level, anonymous=anonymous)
        if level != 0:
            raise FormatError(f"--level: only OME-Zarr images have levels, found {level}; leave it")
        if ending == ".npy":
            return npy.open_npy(Path(path))
        if ending == ".nii":
            return open_nifti(Path(path))
        if ending in (".tif", ".tiff"):
            return tiff.open_tiff(Path(path))
    except FormatError as fault:
        raise InputError(f"{path}: {fault}") from None
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except Exception as fault:  # each library raises its own exceptions for a damaged file
        reason = " ".join(str(fault).split()) or type(fault).__name__
        raise InputError(
            f"{path}: cannot be opened, truncated or damaged ({reason:.200}); copy it again"
        ) from None
    volume = read(path)
    return LazyVolume(ArrayVoxels(volume.channels), volume)


def count_levels(path: str | Path, *, anonymous: bool = False) -> int:
    """Return the number of levels of a volume that `open_lazy` opens: 1 for all but OME-Zarr."""
    return zarr_.count_zarr_levels(path, anonymous=anonymous) if _is_zarr(path) else 1


def attributes(path: str | Path, *, anonymous: bool = False) -> dict[str, Any]:
    """Return the attributes of a Zarr array or OME-Zarr image; other files have none."""
    return zarr_.zarr_attributes(path, anonymous=anonymous) if _is_zarr(path) else {}


def _is_zarr(path: str | Path) -> bool:
    inside_zarr = any(suffix(folder) == ".zarr" for folder in Path(path).parents)
    return is_url(path) or suffix(path) == ".zarr" or inside_zarr

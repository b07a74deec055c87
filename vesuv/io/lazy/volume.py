"""The volume whose regions are read on request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vesuv.errors import InputError
from vesuv.io.formats.volume import FormatError, Volume
from vesuv.types import Array, Region, Shape


class Voxels(Protocol):
    """Voxels on disk or on a server."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(c, z, y, x)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def read(self, region: Region) -> Array:
        """Return the voxels of a region, (c, z, y, x).

        Raises:
            OSError: The file or server fails.
        """
        ...


@dataclass(frozen=True)
class LazyVolume:
    """A volume that is not in memory.

    Args:
        voxels: Reads regions.
        header: Spacing, unit, origin and orientation; its array has the shape and type of the
            volume, takes no memory and holds zeros, except where the file was read whole.
    """

    voxels: Voxels
    header: Volume

    @property
    def shape(self) -> Shape:
        """Spatial shape, (z, y, x)."""
        return self.header.shape


@dataclass(frozen=True)
class ArrayVoxels:
    """Voxels of an array in memory, (c, z, y, x)."""

    array: Array

    @property
    def shape(self) -> tuple[int, int, int, int]:
        c, z, y, x = self.array.shape
        return c, z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def read(self, region: Region) -> Array:
        return np.asarray(self.array[(slice(None), *region)])


@dataclass(frozen=True)
class ChannelFiles:
    """Channels that lie in several files of one grid."""

    files: tuple[Voxels, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        _, z, y, x = self.files[0].shape
        return sum(one.shape[0] for one in self.files), z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.result_type(*(one.dtype for one in self.files))

    def read(self, region: Region) -> Array:
        return np.concatenate([one.read(region) for one in self.files])


def read_region(voxels: Voxels, region: Region, name: str) -> Array:
    """Read the voxels (c, z, y, x) of a region.

    Args:
        voxels: The file.
        region: Region of it.
        name: Name of the file, for the message.

    Raises:
        InputError: The file is damaged, or its disk or server fails.
    """
    try:
        return read_voxels(voxels, region)
    except InputError as fault:
        raise InputError(str(fault) if name in str(fault) else f"{name}: {fault}") from None
    except FormatError as fault:
        start = [part.start for part in region]
        advice = "" if fault.__cause__ is None else "; copy it again"
        raise InputError(
            f"{name}: its voxels from {start} on cannot be read ({fault}){advice}"
        ) from None


def read_voxels(voxels: Voxels, region: Region) -> Array:
    """Read the voxels (c, z, y, x) of a region.

    Raises:
        FormatError: The file is damaged, or its disk or server fails; each library raises its own
            exceptions for that.
        InputError: As the format raises it, with a sentence of its own.
    """
    try:
        return voxels.read(region)
    except (FormatError, InputError, MemoryError):
        raise
    except Exception as fault:
        reason = " ".join(str(fault).split()) or type(fault).__name__
        raise FormatError(f"{reason:.200}") from fault


def empty_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array of zeros that takes no memory and cannot be written."""
    return np.broadcast_to(np.zeros((), dtype), shape)

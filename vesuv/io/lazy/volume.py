"""The volume whose regions are read on request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vesuv.io.formats.volume import Volume
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


def empty_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array of zeros that takes no memory and cannot be written."""
    return np.broadcast_to(np.zeros((), dtype), shape)

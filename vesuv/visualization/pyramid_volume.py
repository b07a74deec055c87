"""Volume of neuroglancer whose coarser scales are read from the levels of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import neuroglancer
import numpy as np
from neuroglancer.downsample import downsample_with_averaging, downsample_with_striding
from neuroglancer.local_volume import MeshesNotSupportedForVolume

from vesuv.types import Array, Region, Shape

_MOST_MESH_VOXELS = 320**3
"""Voxels of a volume whose surfaces are made for the browser."""


class Reader(Protocol):
    """Reads the regions of one level."""

    shape: Shape

    def __call__(self, region: Region) -> Array: ...


class PyramidVolume(neuroglancer.LocalVolume):  # type: ignore[misc]  # a package without types
    """Levels of one layer, read region by region.

    Args:
        levels: Readers, the finest level first; each level has half the edges of the one before.
        dimensions: `neuroglancer.CoordinateSpace` of (z, y, x).
        volume_type: image or segmentation.
    """

    def __init__(self, levels: Sequence[Reader], dimensions: Any, volume_type: str) -> None:
        super().__init__(
            _Voxels(levels[0]),
            dimensions,
            volume_type,
            encoding="raw",
            max_downsampling=64 * 8 ** (len(levels) - 1),
        )
        self._levels = levels

    def get_encoded_subvolume(
        self, data_format: str, start: Array, end: Array, scale_key: str
    ) -> tuple[bytes, str]:
        """Return the voxels of a region in a scale, as neuroglancer asks for them.

        Args:
            data_format: Is raw.
            start: First voxel (z, y, x) in the scale.
            end: The one after the last.
            scale_key: Factors of the scale along z, y, x: "2,2,2".
        """
        assert data_format == "raw"
        factors = np.array(scale_key.split(","), dtype=np.int64)
        level = min(int(math.log2(factors.min())), len(self._levels) - 1)
        steps, reader = factors // 2**level, self._levels[level]
        stop = np.minimum(np.asarray(end) * steps, reader.shape)
        z, y, x = map(slice, (np.asarray(start) * steps).tolist(), stop.tolist())
        voxels = reader((z, y, x))
        if (steps > 1).any():
            is_image = self.volume_type == "image"
            downsample = downsample_with_averaging if is_image else downsample_with_striding
            voxels = downsample(voxels, steps)
        content = voxels.astype(voxels.dtype.newbyteorder("<")).tobytes("F")  # the first axis first
        return content, "application/octet-stream"

    def get_object_mesh(self, object_id: int) -> bytes:
        """Return the surface of a segment; large volumes have none."""
        if math.prod(self._levels[0].shape) > _MOST_MESH_VOXELS:
            raise MeshesNotSupportedForVolume
        mesh: bytes = super().get_object_mesh(object_id)
        return mesh


class _Voxels:
    """What neuroglancer asks of an array."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.shape = reader.shape
        z, y, x = (slice(0, 1) for _ in "zyx")
        self.dtype = reader((z, y, x)).dtype

    def transpose(self) -> Array:
        """Return all voxels (x, y, z), which surfaces are made of."""
        z, y, x = (slice(0, edge) for edge in self.shape)
        return self._reader((z, y, x)).transpose()

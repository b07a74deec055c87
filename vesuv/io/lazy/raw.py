"""Voxels that lie uncompressed and in order in a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.files import open_regular
from vesuv.io.formats.volume import FormatError
from vesuv.types import Array, Region


@dataclass(frozen=True)
class RawVoxels:
    """Reads regions with the fewest bytes that lie in rows.

    The file is not mapped into memory: mapped pages count as memory of the process.

    Args:
        path: The file.
        offset: Bytes before the first voxel.
        stored: Shape in the file, the last axis contiguous: (c, z, y, x), or (z, c, y, x).
        dtype: Type in the file, with its byte order.
        channels_first: Whether `stored` is (c, z, y, x).
        slope: Factor of the stored values, see `intercept`.
        intercept: Added to the scaled values; slope 1 and intercept 0 leave their type unchanged.
    """

    path: Path
    offset: int
    stored: tuple[int, int, int, int]
    stored_dtype: np.dtype[Any]
    channels_first: bool = True
    slope: float = 1.0
    intercept: float = 0.0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        first, second, y, x = self.stored
        return (first, second, y, x) if self.channels_first else (second, first, y, x)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32) if self._is_scaled else self.stored_dtype.newbyteorder("=")

    @property
    def _is_scaled(self) -> bool:
        return (self.slope, self.intercept) != (1.0, 0.0)

    def read(self, region: Region) -> Array:
        z, y, x = region
        channels, _, height, width = self.shape
        result = np.empty(
            (channels, *(part.stop - part.start for part in region)), self.stored_dtype
        )
        itemsize = self.stored_dtype.itemsize
        num_bytes = (y.stop - y.start) * width * itemsize
        with open_regular(self.path) as file:
            for channel in range(channels):
                for row, plane in enumerate(range(z.start, z.stop)):
                    at = self._plane_number(channel, plane) * height + y.start
                    content = os.pread(
                        file.fileno(), num_bytes, self.offset + at * width * itemsize
                    )
                    if len(content) != num_bytes:
                        raise FormatError("truncated: it ends within its voxels; copy it again")
                    rows = np.frombuffer(content, self.stored_dtype).reshape(-1, width)
                    result[channel, row] = rows[:, x]
        native = result.astype(self.stored_dtype.newbyteorder("="), copy=False)
        if not self._is_scaled:
            return native
        return (native * np.float64(self.slope) + self.intercept).astype(np.float32)

    def _plane_number(self, channel: int, plane: int) -> int:
        second = self.stored[1]
        return channel * second + plane if self.channels_first else plane * second + channel

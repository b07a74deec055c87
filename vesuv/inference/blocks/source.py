"""The volume that is predicted in blocks: how to open it, and how to tell it from another."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.data.case_size import LARGE_VOXELS
from vesuv.errors import InputError
from vesuv.io.formats import Volume, stem, suffix
from vesuv.io.grid import check_same_grid, read_channels
from vesuv.io.lazy import LAZY_SUFFIXES, LazyVolume, open_lazy
from vesuv.io.lazy.volume import ChannelFiles, read_region
from vesuv.io.urls import is_url, url_stem
from vesuv.types import Array

_HEAD_BYTES = 1 << 20
"""Bytes at each end of a file that tell it from another."""
_NUM_SAMPLES, _SAMPLE_SHAPE = 5, (1, 64, 64)
"""Squares of voxels that tell a volume from another."""


@dataclass(frozen=True)
class Source:
    """A volume of one file or address, or of one file for each channel.

    Args:
        files: Paths, or one address.
        level: Level of an OME-Zarr image.
        anonymous: Read from s3 without credentials.
    """

    files: tuple[str, ...]
    level: int = 0
    anonymous: bool = False

    @classmethod
    def of_files(cls, files: Sequence[Path], level: int = 0) -> Source:
        """Return the volume of one file, or of one file for each channel."""
        return cls(tuple(map(str, files)), level)

    @property
    def id(self) -> str:
        """File name without ending."""
        first = self.files[0]
        return url_stem(first) if is_url(first) else stem(first)

    def open(self) -> LazyVolume:
        """Open the volume.

        Raises:
            InputError: It cannot be read, or its channels lie on different grids.
        """
        first, *others = (
            open_lazy(file, level=self.level, anonymous=self.anonymous) for file in self.files
        )
        for file, volume in zip(self.files[1:], others, strict=True):
            reference = (self.files[0], first.header)
            check_same_grid((file, volume.header), reference, ("channel", "channel"))
        if not others:
            return first
        return LazyVolume(
            ChannelFiles((first.voxels, *(one.voxels for one in others))), first.header
        )

    def read(self) -> tuple[Volume, Array]:
        """Read a volume of files whole: its header, and all channels (c, z, y, x).

        Raises:
            InputError: It cannot be read, or its channels lie on different grids.
        """
        if self.level == 0:
            return read_channels(tuple(map(Path, self.files)))
        volume = self.open()
        z, y, x = (slice(0, edge) for edge in volume.shape)
        return volume.header, read_region(volume.voxels, (z, y, x), self.files[0])

    def is_large(self) -> bool:
        """Return whether it has more than `LARGE_VOXELS` voxels, and can be read in parts."""
        if not all(is_url(file) or suffix(file) in LAZY_SUFFIXES for file in self.files):
            return False
        try:
            return math.prod(self.open().shape) > LARGE_VOXELS
        except InputError:
            return False  # reading it as a whole says what is wrong

    def record(self, volume: LazyVolume) -> dict[str, Any]:
        """Return what a record says about the volume; equal for equal contents.

        Raises:
            InputError: The volume cannot be read.
        """
        return {
            "files": [_file_record(file) for file in self.files],
            "voxels": _voxel_digest(volume, self.files[0]),
            "level": self.level,
            "shape": list(volume.voxels.shape),
            "dtype": volume.voxels.dtype.name,
            "spacing": list(volume.header.spacing),
            "unit": volume.header.unit,
        }


def _file_record(file: str) -> dict[str, Any]:
    """Name, size and digest of both ends of a file; of a folder or address the name."""
    path = Path(file)
    if is_url(file) or not path.is_file():
        return {"name": file.rstrip("/").rpartition("/")[2]}
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        digest.update(stream.read(_HEAD_BYTES))
        stream.seek(max(0, size - _HEAD_BYTES))
        digest.update(stream.read(_HEAD_BYTES))
    return {"name": path.name, "bytes": size, "sha256_of_both_ends": digest.hexdigest()}


def _voxel_digest(volume: LazyVolume, name: str) -> str:
    """Digest of squares along the diagonal of a volume: few chunks, whatever its size.

    It is not made of the sizes and times of a store's files, since a store that was repaired or
    copied is still the same input. The ends of a file often hold nothing but air.
    """
    digest = hashlib.sha256()
    for number in range(1, _NUM_SAMPLES + 1):
        starts = [edge * number // (_NUM_SAMPLES + 1) for edge in volume.shape]
        z, y, x = (
            slice(start, min(start + size, edge))
            for start, size, edge in zip(starts, _SAMPLE_SHAPE, volume.shape, strict=True)
        )
        digest.update(read_region(volume.voxels, (z, y, x), name).tobytes())
    return digest.hexdigest()

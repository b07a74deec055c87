"""TIFF files, read region by region: uncompressed rows, or page by page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.files import open_regular
from vesuv.io.formats.tiff import (
    checked_series,
    header_of,
    is_image_2d,
    read,
    refuse_codecs_and_other_files,
)
from vesuv.io.formats.tiff_checks import SingleFile, collected_faults, refuse_faults
from vesuv.io.formats.volume import FormatError, require_volume
from vesuv.io.lazy.raw import RawVoxels
from vesuv.io.lazy.volume import ArrayVoxels, LazyVolume, Voxels, empty_array
from vesuv.types import Array, Region

_CHANNEL_AXES = "CS"


def open_tiff(path: Path) -> LazyVolume:
    """Open a volume whose pages are slices.

    Raises:
        FormatError: It is damaged, or no volume of such pages.
    """
    import tifffile

    faults = collected_faults()
    with SingleFile(open_regular(path).detach()) as file, tifffile.TiffFile(file) as tif:
        refuse_codecs_and_other_files(tif, path)
        refuse_faults(faults)
        series = checked_series(tif, path)
        if is_image_2d(series.axes):
            image = read(path)
            return LazyVolume(ArrayVoxels(image.channels), image)
        axes, shape = _without_single_axes(series.axes, series.shape)
        stored, channels_first = _stored_shape(axes, shape)
        dtype = np.dtype(series.dtype)
        first, second, y, x = stored
        channels = first if channels_first else second
        in_memory = (channels, second if channels_first else first, y, x)
        array = require_volume(
            empty_array(in_memory if len(shape) == 4 else in_memory[1:], dtype), axes
        )
        header = header_of(tif, array)
        voxels: Voxels
        if series.dataoffset is not None:
            order = dtype.newbyteorder(tif.byteorder)
            voxels = RawVoxels(path, int(series.dataoffset), stored, order, channels_first)
        elif len(series.pages) != first * second:
            raise FormatError(
                f"is read in parts only with one page for each slice, found {len(series.pages)} "
                f"for {first * second} slices; save it without tiles of several slices"
            )
        else:
            voxels = PageVoxels(path, stored, dtype, channels_first)
    return LazyVolume(voxels, header)


@dataclass(frozen=True)
class PageVoxels:
    """Compressed pages: each page of a region is decoded and cropped.

    Args:
        path: The file.
        stored: Shape in the order of the pages, (c, z, y, x) or (z, c, y, x).
        dtype: Type of the voxels.
        channels_first: Whether `stored` is (c, z, y, x).
    """

    path: Path
    stored: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    channels_first: bool

    @property
    def shape(self) -> tuple[int, int, int, int]:
        first, second, y, x = self.stored
        return (first, second, y, x) if self.channels_first else (second, first, y, x)

    def read(self, region: Region) -> Array:
        import tifffile

        z, y, x = region
        channels = self.shape[0]
        result = np.empty((channels, *(part.stop - part.start for part in region)), self.dtype)
        with SingleFile(open_regular(self.path).detach()) as file, tifffile.TiffFile(file) as tif:
            pages: Any = tif.series[0].pages
            for channel in range(channels):
                for row, plane in enumerate(range(z.start, z.stop)):
                    page = pages[self._page_number(channel, plane)].asarray(maxworkers=1)
                    result[channel, row] = page.reshape(self.shape[2:])[y, x]
        return result

    def _page_number(self, channel: int, plane: int) -> int:
        second = self.stored[1]
        return channel * second + plane if self.channels_first else plane * second + channel


def _without_single_axes(axes: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    for place in reversed(range(len(axes))):
        if shape[place] == 1 and axes[place] not in "ZYX" and len(shape) > 3:
            axes, shape = axes[:place] + axes[place + 1 :], shape[:place] + shape[place + 1 :]
    return axes, shape


def _stored_shape(axes: str, shape: tuple[int, ...]) -> tuple[tuple[int, int, int, int], bool]:
    """The shape in the order of the pages, and whether channels come first."""
    place = next((place for place, code in enumerate(axes) if code in _CHANNEL_AXES), None)
    if len(shape) == 3 and place is None:
        z, y, x = shape
        return (1, z, y, x), True
    if len(shape) == 4 and place in (None, 0, 1):
        first, second, y, x = shape
        return (first, second, y, x), place != 1
    raise FormatError(
        f"is read in parts only as slices of one channel each, found {axes} {tuple(shape)}; save "
        "it with the channels as pages"
    )

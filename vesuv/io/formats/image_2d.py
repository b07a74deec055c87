"""Two-dimensional images, PNG and JPEG, as volumes of one slice, through Pillow.

PNG and JPEG state no voxel size; the resolution for printing that some hold is no measurement.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.files import open_regular
from vesuv.io.formats.volume import (
    NO_SPACING,
    FormatError,
    Volume,
    check_claimed_size,
    refuse_time_points,
    require_volume,
)
from vesuv.types import Array

_PNG_HEADER = struct.Struct(">8s4x4sIIBB")
"""Signature, length of the first chunk, its name, width, height, bits of a channel, colour type."""
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE = 0, 2, 3
"""Colour types of PNG; the others have an alpha channel."""
_DEFLATE_RATIO = 1032
"""No byte of a PNG's compressed pixels stands for more bytes than this."""
ORIENTATION = 0x0112
"""Tag of EXIF and TIFF: how viewers turn the image; 1: not at all."""
OF_A_PALETTE = (
    "its pixels are entries of a palette, which are no intensities; save it as grey or RGB, "
    "a label with its class values as grey"
)


def read_png(path: Path) -> Volume:
    """Read grey (1, 8 or 16 bits) or RGB (8 bits), (1, y, x) or (3, 1, y, x)."""
    from PIL.PngImagePlugin import PngImageFile

    with open_regular(path) as file:
        _check_png_header(file, path.stat().st_size)
        with PngImageFile(file) as image:  # `Image.open` warns of images that fit into memory
            refuse_time_points(int(getattr(image, "n_frames", 1)))
            return _volume(image)


def read_jpeg(path: Path) -> Volume:
    """Read grey or RGB of 8 bits, (1, y, x) or (3, 1, y, x)."""
    from PIL.JpegImagePlugin import JpegImageFile

    with open_regular(path) as file, JpegImageFile(file) as image:
        if image.mode not in ("L", "RGB"):
            raise FormatError(f"a JPEG is grey or RGB, found {image.mode}; save it as RGB")
        check_claimed_size((image.height, image.width, len(image.mode)), 1)
        return _volume(image)


def refuse_turned(orientation: int) -> None:
    """Refuse an image that viewers turn.

    Raises:
        FormatError: Names the orientation of the header.
    """
    if orientation != 1:
        raise FormatError(
            f"its header tells viewers to turn it (EXIF orientation {orientation}), a label may be "
            "drawn either way; save it upright without the tag"
        )


def write_png(path: Path, array: Array, like: Volume | None) -> None:  # noqa: ARG001 - no geometry
    """Write one slice of whole numbers, grey or RGB."""
    from PIL import Image

    array = array.view(np.uint8) if array.dtype == np.bool_ else array
    channels = array if array.ndim == 4 else array[np.newaxis]
    if channels.shape[1] != 1 or len(channels) not in (1, 3):
        raise FormatError(
            f"a PNG holds one slice, grey or RGB, found shape {array.shape}; write it as .tif"
        )
    if array.dtype != np.uint8 and (array.dtype != np.uint16 or len(channels) == 3):
        raise FormatError(f"a PNG holds uint8, or grey uint16, found {array.dtype}; write .tif")
    pixels = channels[0, 0] if len(channels) == 1 else np.moveaxis(channels[:, 0], 0, -1)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, format="PNG")


def write_jpeg(path: Path, array: Array, like: Volume | None) -> None:  # noqa: ARG001 - refused
    """Refuse: JPEG changes values."""
    raise FormatError("JPEG does not keep the values that are written; write it as .png")


def _check_png_header(file: io.BufferedReader, size: int) -> None:
    """Refuse what Pillow would turn into other values than those of the file."""
    start = file.read(_PNG_HEADER.size)
    file.seek(0)
    if len(start) < _PNG_HEADER.size or not start.startswith(_PNG_SIGNATURE):
        raise FormatError("truncated, damaged or no PNG; copy it again")
    _, _, width, height, bits, colour = _PNG_HEADER.unpack(start)
    if colour == _PALETTE:
        raise FormatError(OF_A_PALETTE)
    if colour not in (_GREY, _RGB):
        raise FormatError("an image has no alpha channel, found one; save it without transparency")
    if bits not in (1, 8, 16) or (colour == _RGB and bits != 8):
        kind = "RGB" if colour == _RGB else "grey"
        raise FormatError(
            f"a PNG has 8 bits a channel, grey also 1 or 16, found {kind} of {bits}; save it so, "
            "or as TIFF"
        )
    channels = 3 if colour == _RGB else 1
    check_claimed_size((height, width, channels), max(1, bits // 8), _DEFLATE_RATIO * size * 8)


def _volume(image: Any) -> Volume:
    refuse_turned(image.getexif().get(ORIENTATION, 1))
    pixels = np.asarray(image)
    if image.mode == "1":  # Pillow's true is 255
        pixels = (np.asarray(image.convert("L")) > 0).astype(np.uint8)
    array = np.moveaxis(pixels, -1, 0)[:, np.newaxis] if pixels.ndim == 3 else pixels[np.newaxis]
    return Volume(require_volume(np.ascontiguousarray(array), image.mode), NO_SPACING, None)

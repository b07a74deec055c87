"""How many bytes a compressed chunk unpacks to, found without unpacking it into memory.

A few kilobytes can unpack to gigabytes, and the decoders of Zarr have no limit.
"""

from __future__ import annotations

import bz2
import struct
import zlib
from collections.abc import Callable

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)
_ZSTD_BLOCK = 128 * 1024
"""Most bytes that a compressed block of Zstandard unpacks to."""
_STEP = 1 << 20

DEFLATE_RATIO = 1032
"""Largest factor by which deflate (zlib, gzip) compresses."""


def unpacked_bytes(compressor: str, data: bytes, limit: int) -> int:
    """Return an upper bound of the unpacked bytes; counting stops above `limit`.

    Damaged data give the bound of their intact part; the decoder refuses them.

    Args:
        compressor: One of `COMPRESSORS`.
        data: The compressed bytes.
        limit: The number above which the exact number does not matter.
    """
    return _BOUNDS[compressor](data, limit)


def blosc_bytes(data: bytes) -> int:
    """Return the length of a chunk of Blosc by its header, which the decoder believes.

    Source:
        c-blosc, README_CHUNK_FORMAT.
    """
    return int(struct.unpack_from("<I", data, 12)[0]) if len(data) >= 16 else 16


def _blosc(data: bytes, _limit: int) -> int:
    return int(struct.unpack_from("<I", data, 4)[0]) if len(data) >= 16 else 0


def _lz4(data: bytes, _limit: int) -> int:
    return int(struct.unpack_from("<I", data)[0]) if len(data) >= 4 else 0


def _zstd(data: bytes, limit: int) -> int:
    """Add up the blocks of all frames by their headers.

    Source:
        RFC 8878, sections 3.1.1 and 3.1.2.
    """
    place = total = 0
    while place + 8 <= len(data) and total <= limit:
        magic, length = struct.unpack_from("<II", data, place)
        if magic in _ZSTD_SKIPPABLE:
            place += 8 + length
            continue
        if data[place : place + 4] != _ZSTD_MAGIC:
            break
        place, frame_bytes = _zstd_frame(data, place + 4)
        total += frame_bytes
    return total


def _zstd_frame(data: bytes, place: int) -> tuple[int, int]:
    """Where the frame ends whose header begins at `place`, and the bytes that it unpacks to."""
    descriptor = data[place]
    is_single, has_checksum = descriptor >> 5 & 1, descriptor >> 2 & 1
    place += 1 + (0 if is_single else 1) + (0, 1, 2, 4)[descriptor & 3]
    length = (is_single, 2, 4, 8)[descriptor >> 6]
    stated = int.from_bytes(data[place : place + length], "little")
    stated += 256 if length == 2 else 0
    place += length
    total, is_last = 0, False
    while not is_last and place + 3 <= len(data):
        header = int.from_bytes(data[place : place + 3], "little")
        is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        place += 3 + (1 if kind == 1 else size)
        total += _ZSTD_BLOCK if kind == 2 else size
    # The decoder takes memory for the stated size; without one, for the blocks.
    return place + 4 * has_checksum, max(total, stated) if length == 0 else stated


def _deflate(data: bytes, limit: int) -> int:
    return _count(data, limit, lambda: zlib.decompressobj(wbits=47))


def _bzip2(data: bytes, limit: int) -> int:
    return _count(data, limit, bz2.BZ2Decompressor)


def _count(
    data: bytes, limit: int, make: Callable[[], zlib._Decompress | bz2.BZ2Decompressor]
) -> int:
    """Unpack piece by piece, and forget the pieces; one stream can follow another."""
    total, rest = 0, data
    try:
        while rest and total <= limit:
            decompressor = make()
            total += len(decompressor.decompress(rest, _STEP))
            while not decompressor.eof and total <= limit:
                tail = getattr(decompressor, "unconsumed_tail", b"")
                piece = decompressor.decompress(tail, _STEP)
                if not piece:
                    return total
                total += len(piece)
            rest = decompressor.unused_data
    except (zlib.error, OSError):
        pass
    return total


_BOUNDS: dict[str, Callable[[bytes, int], int]] = {
    "blosc": _blosc,
    "bz2": _bzip2,
    "gzip": _deflate,
    "lz4": _lz4,
    "zlib": _deflate,
    "zstd": _zstd,
}
COMPRESSORS = tuple(_BOUNDS)
"""Compressors of Zarr whose unpacked size can be bounded."""
MAX_RATIOS = {"gzip": DEFLATE_RATIO, "zlib": DEFLATE_RATIO}
"""Largest factor of the compressors that have one; counting what they unpack to takes long."""

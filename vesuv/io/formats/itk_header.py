"""Checks of an NRRD or MetaImage header before ITK reads the file.

ITK opens other files that a header names, allocates memory for any shape, and reads damaged
compressed voxels without an error. The checks here prevent that.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from vesuv.io.formats.volume import DEFLATE_RATIO, FormatError

_MAX_HEADER = 1 << 20
_READ_SIZE = 1 << 20
_NRRD_PACKINGS = {"raw": "raw", "gz": "gzip", "gzip": "gzip", "bz2": "other", "bzip2": "other"}
_TEXT_RATIO = 8
"""Upper bound of the bytes that one character of a text encoding can encode."""

_NUMBER_POWERS = {
    "dimsize": 1,
    "elementspacing": 1,
    "elementsize": 1,
    "offset": 1,
    "position": 1,
    "origin": 1,
    "centerofrotation": 1,
    "transformmatrix": 2,
    "orientation": 2,
    "rotation": 2,
    "elementnumberofchannels": 0,
    "headersize": 0,
    "compresseddatasize": 0,
}
"""Keys of MetaImage that hold as many numbers as NDims to this power."""
_MAX_NUMBER = 2.0**62

Packing = Literal["raw", "gzip", "zlib", "text", "other"]


@dataclass(frozen=True)
class Header:
    """Compression of a file's voxels, and the offset of their first byte."""

    path: Path
    packing: Packing
    start: int

    @property
    def max_bytes(self) -> float:
        """Upper bound of the file's decompressed bytes."""
        ratios = {"raw": 1.0, "text": _TEXT_RATIO, "other": math.inf}
        return self.path.stat().st_size * ratios.get(self.packing, float(DEFLATE_RATIO))

    def verify_checksum(self, size: int) -> None:
        """Decompress the voxels and verify their checksum, which ITK does not.

        Args:
            size: Bytes of the voxels.

        Raises:
            FormatError: They are damaged, too few, or far more than the header states.
        """
        if self.packing not in ("gzip", "zlib"):
            return
        with self.path.open("rb") as file:
            file.seek(self.start)
            try:
                length = _gzip_bytes(file, size) if self.packing == "gzip" else _zlib_bytes(file)
            except (zlib.error, EOFError, OSError) as fault:
                raise FormatError(f"truncated or damaged ({fault}); copy it again") from None
        if length < size:
            raise FormatError(
                f"truncated or damaged: {size} bytes of voxels expected, found {length}; copy it "
                "again"
            )


def read_header(path: Path) -> Header:
    """Read the compression of the voxels.

    Raises:
        FormatError: The voxels lie in another file, or the header is missing.
    """
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER)
    return _nrrd(path, head) if head.startswith(b"NRRD") else _meta_image(path, head)


def _nrrd(path: Path, head: bytes) -> Header:
    text = head.replace(b"\r\n", b" \n")
    end = text.find(b"\n\n")
    # Without an empty line at the end of the header, the voxels lie in another file.
    lines = text[: end if end >= 0 else None].split(b"\n")
    fields = dict(_pair(line, b":") for line in lines[1:] if not line.startswith(b"#"))
    if "datafile" in fields or end < 0:
        raise _detached_error(fields.get("datafile", "none"))
    encoding = fields.get("encoding", "").lower()
    skips = any(fields.get(name, "0") != "0" for name in ("lineskip", "byteskip"))
    packing = _NRRD_PACKINGS.get(encoding, "text")
    if skips and packing == "gzip":
        packing = "other"
    return Header(path, packing, _end_of_nrrd(head))  # type: ignore[arg-type]


def _end_of_nrrd(head: bytes) -> int:
    ends = [(head.find(mark), len(mark)) for mark in (b"\n\n", b"\n\r\n")]
    return min(place + length for place, length in ends if place >= 0)


def _meta_image(path: Path, head: bytes) -> Header:
    fields: dict[str, str] = {}
    place = 0
    for line in head.split(b"\n"):
        place += len(line) + 1
        key, value = _pair(line, b"=" if b"=" in line else b":")
        fields.setdefault(key, value)
        if key == "elementdatafile":
            break
    data = fields.get("elementdatafile")
    if data is None or data.lower() != "local":
        raise _detached_error(data or "none")
    _check_numbers(fields)
    is_compressed = fields.get("compresseddata", "")[:1] in ("T", "t", "1")
    return Header(path, "zlib" if is_compressed else "raw", place)


def _check_numbers(fields: dict[str, str]) -> None:
    """Refuse malformed numbers, which make ITK's reader write beyond its buffers."""
    dims = fields.get("ndims", "")
    if dims not in ("1", "2", "3", "4"):
        raise FormatError(f"a volume has 3 dimensions, found NDims = {dims!r:.60}; replace it")
    for key, value in fields.items():
        words, power = value.split(), _NUMBER_POWERS.get(key)
        has_count = power is None or len(words) == int(dims) ** power
        if key in _NUMBER_POWERS and not (has_count and all(map(_is_number, words))):
            raise FormatError(f"damaged: {key} = {value!r:.60} in its header; copy it again")


def _is_number(word: str) -> bool:
    try:
        return abs(float(word)) < _MAX_NUMBER
    except ValueError:
        return False


def _pair(line: bytes, sign: bytes) -> tuple[str, str]:
    key, _, value = line.partition(sign)
    return key.decode("latin-1").replace(" ", "").strip().lower(), value.decode("latin-1").strip()


def _detached_error(data_file: str) -> FormatError:
    return FormatError(
        f"its voxels must lie in the file itself, found data file {data_file!r:.80}; save it as "
        "one file"
    )


def _gzip_bytes(file: IO[bytes], size: int) -> int:
    length = 0
    with gzip.GzipFile(fileobj=file) as stream:
        while piece := stream.read(_READ_SIZE):
            length += len(piece)
            if length > size + _MAX_HEADER:
                raise OSError("more voxels than the header says")
    return length


def _zlib_bytes(file: IO[bytes]) -> int:
    decompressor, length = zlib.decompressobj(wbits=47), 0
    while not decompressor.eof:
        piece = file.read(_READ_SIZE // 64)
        if not piece:
            raise EOFError("the packed voxels end early")
        length += len(decompressor.decompress(piece))
    return length

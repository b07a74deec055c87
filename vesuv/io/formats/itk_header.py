"""Checks of an NRRD or MetaImage header before ITK reads the file.

ITK opens other files that a header names, allocates memory for any shape, and reads damaged
compressed voxels without an error. The checks here prevent that. A header that ITK could split or
understand in another way than this module is refused: a key twice, a known key in another spelling,
a control character.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from vesuv.files import open_regular
from vesuv.io.formats.unpacked import DEFLATE_RATIO
from vesuv.io.formats.volume import FormatError

_MAX_HEADER = 1 << 20
_READ_SIZE = 1 << 20
_NRRD_PACKINGS = {"raw": "raw", "gz": "gzip", "gzip": "gzip", "bz2": "other", "bzip2": "other"}
_NRRD_DOMAIN_KINDS = ("space", "domain", "time", "none", "???")
"""Kinds of axes along which voxels lie; along the others lie the parts of a voxel."""
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

_META_KEYS = (
    *("ObjectType", "ObjectSubType", "NDims", "DimSize", "Comment", "Name", "ID", "ParentID"),
    *("ElementType", "ElementDataFile", "ElementSpacing", "ElementSize", "ElementNBits"),
    *("ElementNumberOfChannels", "ElementByteOrderMSB", "ElementMin", "ElementMax", "HeaderSize"),
    *("ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset", "Modality"),
    *("BinaryData", "BinaryDataByteOrderMSB", "CompressedData", "CompressedDataSize"),
    *("CompressionLevel", "Offset", "Position", "Origin", "TransformMatrix", "Rotation"),
    *("Orientation", "CenterOfRotation", "AnatomicalOrientation", "DistanceUnits", "SequenceID"),
)
_META_SPELLINGS = {key.lower(): key for key in _META_KEYS}
"""Keys of MetaImage, which ITK recognizes in this spelling alone."""
_META_LOCAL = ("LOCAL", "Local", "local")
_MAX_LINE = 4000
"""Characters of a line of a MetaImage header; ITK reads values into buffers of fixed length."""
_AMBIGUOUS = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
"""Control characters; a carriage return without a line feed ends a line for some readers."""

Packing = Literal["raw", "gzip", "zlib", "text", "other"]


@dataclass(frozen=True)
class Header:
    """Compression of a file's voxels, the offset of their first byte, and ITK's class."""

    path: Path
    packing: Packing
    start: int
    reader: Literal["NrrdImageIO", "MetaImageIO"]

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
        with open_regular(self.path) as file:
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
    with open_regular(path) as file:
        head = file.read(_MAX_HEADER)
    return _nrrd(path, head) if head.startswith(b"NRRD") else _meta_image(path, head)


def _nrrd(path: Path, head: bytes) -> Header:
    ends = [(head.find(mark), len(mark)) for mark in (b"\n\n", b"\n\r\n")]
    ends = [(place, length) for place, length in ends if place >= 0]
    if not ends:  # without an empty line at its end, a header's voxels lie in another file
        raise _detached_error("none")
    place, length = min(ends)
    fields: dict[str, str] = {}
    for line in filter(None, _lines(head[: place + 1])[1:]):
        key, value = _pair(line, ":")
        if line.startswith("#") or (value.startswith("=") and key != "datafile"):
            continue  # a comment, or an entry `key:=value` of the user
        _add(fields, key, value)
    if "datafile" in fields:
        raise _detached_error(fields["datafile"])
    _check_edges(fields)
    encoding = fields.get("encoding", "").lower()
    skips = any(fields.get(name, "0") != "0" for name in ("lineskip", "byteskip"))
    packing = _NRRD_PACKINGS.get(encoding, "text")
    if skips and packing == "gzip":
        packing = "other"
    return Header(path, packing, place + length, "NrrdImageIO")  # type: ignore[arg-type]


def _check_edges(fields: dict[str, str]) -> None:
    """Refuse voxel edges that are stated along some axes only; ITK takes 1 for the others."""
    key = "spacedirections" if "spacedirections" in fields else "spacings"
    values = re.findall(r"\([^)]*\)|\S+", fields.get(key, "").lower())
    kinds = fields.get("kinds", "").lower().split() or ["none"] * len(values)
    is_stated = [
        "nan" not in value and value != "none"
        for value, kind in zip(values, kinds, strict=False)
        if kind in _NRRD_DOMAIN_KINDS
    ]
    if 0 < sum(is_stated) < min(len(is_stated), 3):
        name = "space directions" if key == "spacedirections" else key
        raise FormatError(
            f"its header must state the voxel edge along every axis, found {name}: "
            f"{fields[key]:.80}; write the missing one"
        )


def _meta_image(path: Path, head: bytes) -> Header:
    end = re.search(rb"^[ \t]*ElementDataFile[ \t]*[=:][^\n]*\n?", head, re.MULTILINE)
    if end is None:
        raise _detached_error("none")
    fields: dict[str, str] = {}
    for line in filter(str.strip, _lines(head[: end.end()])):
        separator = re.search("[=:]", line)
        # ITK takes the next line for a value that is left out.
        if separator is None or not line[separator.end() :].strip(" \t=:"):
            raise FormatError(f"damaged: line {line!r:.60} in its header; copy it again")
        if len(line) > _MAX_LINE:
            raise FormatError(
                f"lines of its header have at most {_MAX_LINE} characters, found {len(line)} in "
                f"{line!r:.60}; shorten it"
            )
        spelling = line[: separator.start()].strip()
        key, value = _pair(line, separator[0])
        if _META_SPELLINGS.get(key, spelling) != spelling:
            raise FormatError(
                f"its header must name {_META_SPELLINGS[key]} in this spelling, found "
                f"{spelling!r:.60}; correct it"
            )
        _add(fields, key if key in _META_SPELLINGS else spelling, value)
    if fields["elementdatafile"] not in _META_LOCAL:
        raise _detached_error(fields["elementdatafile"])
    _check_numbers(fields)
    is_compressed = fields.get("compresseddata", "")[:1] in ("T", "t", "1")
    return Header(path, "zlib" if is_compressed else "raw", end.end(), "MetaImageIO")


def _lines(head: bytes) -> list[str]:
    """The lines of a header, which must end in the same places for every reader."""
    ambiguous = _AMBIGUOUS.search(head)
    if ambiguous:
        raise FormatError(
            f"its header must be plain text, found the control character {ambiguous[0]!r} at byte "
            f"{ambiguous.start()}; save it again"
        )
    return head.decode("latin-1").replace("\r\n", "\n").split("\n")


def _add(fields: dict[str, str], key: str, value: str) -> None:
    if key in fields:
        raise FormatError(f"its header must state {key!r:.60} once, found it twice; correct it")
    fields[key] = value


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


def _pair(line: str, sign: str) -> tuple[str, str]:
    """Key in lower case, letters and digits alone, and value of a line."""
    key, _, value = line.partition(sign)
    return re.sub("[^a-z0-9]", "", key.lower()), value.strip()


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

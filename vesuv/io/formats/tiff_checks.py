"""Checks of a TIFF before its pages are decoded: one file is one volume, and nothing is made up.

tifffile follows the file names in OME-XML and in Micro-Manager's index, fills pages that it cannot
find with zeros, and decodes pictures (JPEG, PNG, ...) at the size that their own header claims.
"""

from __future__ import annotations

import io
import logging
import re
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from vesuv.io.formats.volume import FormatError

_CODECS = {
    1: "none",
    5: "LZW",
    8: "deflate",
    32773: "PackBits",
    32946: "deflate",
    34925: "LZMA",
    34926: "Zstandard",
    50000: "Zstandard",
}
"""Compression tag -> name; decoders that write no more bytes than a page has."""
_ALPHA = (1, 2)
"""Values of the tag ExtraSamples for a channel of transparency."""
_CUT_HEADER = re.compile(r"TiffTag (270|50838|50839) .*invalid value offset")
"""What tifffile logs of a tag with spacing and unit that lies beyond the end of the file."""
_NO_FOLDER = Path("/dev/null/no folder")


class SingleFile(io.BufferedReader):
    """An open file that names no folder, so that tifffile finds no file beside it."""

    @property
    def name(self) -> str:
        """The file's own name in a folder that cannot exist."""
        return str(_NO_FOLDER / Path(self.raw.name).name)  # type: ignore[attr-defined]

    def fileno(self) -> int:
        """Refuse: with a descriptor, tifffile searches the folder."""
        raise io.UnsupportedOperation("fileno")


def refuse_other_files(tif: Any) -> None:
    """Refuse OME-XML whose planes lie in several files.

    Raises:
        FormatError: Names the first other file.
    """
    if not tif.is_ome:
        return
    try:
        root = ElementTree.fromstring(tif.ome_metadata)
    except ElementTree.ParseError:
        return  # `refuse_missing_pages` finds what tifffile makes of it
    entries = [entry for entry in root.iter() if entry.tag.rpartition("}")[2] == "UUID"]
    own_id = root.get("UUID") or next(
        (e.text for e in entries if e.get("FileName", "").lower() == tif.filename.lower()), None
    )
    for entry in entries:
        if entry.text != own_id:
            raise FormatError(
                "its voxels must lie in the file itself, found planes in file "
                f"{entry.get('FileName', '')!r:.80}; save it as one file"
            )


def refuse_codecs(tif: Any) -> None:
    """Refuse compressions that can decode to more than a page, and those of pictures.

    Raises:
        FormatError: Names the compression and the allowed ones.
    """
    for page in tif.pages:
        codec = int(page.compression)
        if codec not in _CODECS:
            name = getattr(page.compression, "name", codec)
            raise FormatError(
                f"its compression must be one of {', '.join(dict.fromkeys(_CODECS.values()))}, "
                f"found {name}; save it with one of them"
            )


def refuse_alpha(tif: Any) -> None:
    """Refuse pages with a channel of transparency, which is no intensity.

    Raises:
        FormatError: There is one.
    """
    if any(sample in _ALPHA for sample in tif.pages[0].extrasamples):
        raise FormatError("an image has no alpha channel, found one; save it without transparency")


def refuse_missing_pages(series: Any) -> None:
    """Refuse a series with pages that are not in the file, which tifffile fills with zeros.

    Raises:
        FormatError: Pages are missing.
    """
    num_missing = sum(page is None for page in series.pages)
    if num_missing:
        raise FormatError(
            f"its voxels must lie in the file itself, found {num_missing} of {len(series.pages)} "
            "pages missing; save it as one file"
        )


def refuse_truncated_pages(tif: Any, size: int) -> None:
    """Refuse strips or tiles beyond the end of the file, which decoders fill with zeros."""
    for number, page in enumerate(tif.pages):
        ends = [o + c for o, c in zip(page.dataoffsets, page.databytecounts, strict=False)]
        if not ends or max(ends) > size:
            raise FormatError(
                f"the TIFF is truncated: page {number} reaches to byte {max(ends, default=0)}, the "
                f"file has {size}; copy it again"
            )


def refuse_truncated_series(series: Any, size: int) -> None:
    """Refuse a contiguous series whose slices reach beyond the end of the file."""
    end = 0 if series.dataoffset is None else series.dataoffset + series.nbytes
    if end > size:
        raise FormatError(
            f"the TIFF is truncated: its volume reaches to byte {end}, the file has {size}; "
            "copy it again"
        )


class _FaultCollector(logging.Handler):
    """Collects tifffile's log messages about broken pages, separately for each thread."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.thread_data = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        self.messages().append(record.getMessage())

    def messages(self) -> list[str]:
        """Return the messages of the calling thread; the caller may clear the list."""
        if not hasattr(self.thread_data, "messages"):
            self.thread_data.messages = []
        messages: list[str] = self.thread_data.messages
        return messages


_COLLECTOR = _FaultCollector()


def collected_faults() -> list[str]:
    """Return an empty list that tifffile's errors of this thread are added to from now on."""
    faults = _COLLECTOR.messages()
    faults.clear()
    logging.getLogger("tifffile").addHandler(_COLLECTOR)
    return faults


def refuse_faults(faults: list[str]) -> None:
    """Refuse a damaged page or a cut header, which tifffile only logs; other tags are harmless."""
    for fault in faults:
        if "TiffTag" not in fault or _CUT_HEADER.search(fault):
            reason = fault.rpartition("> ")[2].rstrip("')")
            raise FormatError(f"the TIFF is truncated or damaged ({reason:.200}); copy it again")

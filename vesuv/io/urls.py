"""Addresses of volumes on servers."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

_URL = re.compile(r"(?P<scheme>https?|s3)://.+")


def is_url(path: str | Path) -> bool:
    """Return whether a text is an address of http, https or s3."""
    return isinstance(path, str) and _URL.fullmatch(path) is not None


def url_stem(url: str) -> str:
    """Return the name of a volume at an address: its last part without .zarr."""
    return PurePosixPath(urlsplit(url).path or "volume").name.removesuffix(".zarr")

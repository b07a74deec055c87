"""Addresses of volumes on servers."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from vesuv.errors import InputError

_URL = re.compile(r"(?P<scheme>https?|s3)://.+")


def is_url(path: str | Path) -> bool:
    """Return whether a text is an address of http, https or s3."""
    return isinstance(path, str) and _URL.fullmatch(path) is not None


def check_no_url(output: Path, option: str = "--output") -> None:
    """Refuse an address where files are written.

    Raises:
        InputError: It is one.
    """
    url = output.as_posix().replace(":/", "://", 1)
    if is_url(url):
        raise InputError(
            f"{option}: is written on this computer, found the address {url:.200}; name a folder"
        )


def url_stem(url: str) -> str:
    """Return the name of a volume at an address: its last part without .zarr."""
    return PurePosixPath(urlsplit(url).path).name.removesuffix(".zarr") or "volume"

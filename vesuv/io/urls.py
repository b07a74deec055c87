"""Addresses of volumes on servers."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from vesuv.errors import InputError

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://.+", re.DOTALL)
_SCHEMES = ("https", "http", "s3")


def is_url(path: str | Path) -> bool:
    """Return whether a text is an address on a server.

    Raises:
        InputError: It is one that is not read, as gs:// or ftp://.
    """
    match = _URL.fullmatch(path) if isinstance(path, str) else None
    if match is not None and match["scheme"] not in _SCHEMES:
        raise InputError(
            f"{path:.200}: addresses begin with https://, http:// or s3://, found "
            f"{match['scheme']}://; give the volume's address of this kind, or download it"
        )
    return match is not None


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

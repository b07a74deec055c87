"""Which folder lies in which: output is never written over input, and never through a link."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vesuv.errors import InputError


def contains(folder: Path, path: Path) -> bool:
    """Return whether `path` is `folder` or lies below it, links and mounts resolved.

    Folders are compared by device and inode too, which tells that two mounts are one folder.
    """
    folder, path = folder.resolve(), path.resolve()
    if path.is_relative_to(folder):
        return True
    return any(_same(folder, parent) for parent in (path, *path.parents))


def check_place(folder: Path, option: str = "--output") -> None:
    """Refuse a folder that cannot be made or written, before the work that fills it.

    Raises:
        InputError: It, or the first of its parents that exists, is a file or read-only.
    """
    place = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    if not place.is_dir():
        raise InputError(f"{option}: {place} is a file; name a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{option}: {place} may not be written; name another folder")


def check_no_links(paths: Iterable[Path]) -> None:
    """Refuse symbolic links where vesuv writes or deletes: what they point to is not its own.

    Raises:
        InputError: Names the first link.
    """
    for path in paths:
        if path.is_symlink():
            raise InputError(
                f"{path}: is a symbolic link, and output is not written through links; remove the "
                "link"
            )


def _same(folder: Path, other: Path) -> bool:
    try:
        return folder.samefile(other)
    except OSError:  # one of them does not exist
        return False

"""Reading files that a stranger may have prepared: regular files only.

A named pipe blocks the process that opens it, and a device such as /dev/zero never ends. Links are
followed; the file at their end counts.
"""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

from vesuv.errors import InputError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegularError(OSError):
    """A folder, pipe, socket or device stands where a regular file is expected."""


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading in binary; the call never waits.

    Raises:
        OSError: There is no such file, it may not be read, or it is no regular file.
    """
    check_regular(path)  # opening a device can change it
    return io.BufferedReader(io.FileIO(path, "rb", opener=_open_without_waiting))


def open_text(path: Path, newline: str | None = None, errors: str = "strict") -> io.TextIOWrapper:
    """Open a file for reading in UTF-8, with or without a byte-order mark.

    Args:
        path: The file.
        newline: As in `open`; "" for CSV.
        errors: As in `open`.

    Raises:
        OSError: As `open_regular`.
    """
    return io.TextIOWrapper(open_regular(path), "utf-8-sig", errors, newline)


def read_text(path: Path, errors: str = "strict") -> str:
    """Read a text file in UTF-8, with or without a byte-order mark.

    Raises:
        OSError: As `open_regular`.
        UnicodeDecodeError: It is not UTF-8.
    """
    with open_text(path, errors=errors) as file:
        return file.read()


def check_regular(path: Path) -> os.stat_result:
    """Return the status of a regular file.

    Raises:
        OSError: There is no such file, it may not be reached, or it is no regular file.
    """
    status = path.stat()
    _check_kind(status, path)
    return status


def kind_of(status: os.stat_result) -> str:
    """Say in words what lies at a path: "a folder", "a named pipe", "a regular file"."""
    return _KINDS.get(stat.S_IFMT(status.st_mode), "a regular file")


def _open_without_waiting(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        _check_kind(os.fstat(descriptor), Path(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check_kind(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError(errno.EINVAL, f"is {kind_of(status)}, not a regular file", str(path))


def read_json_content(path: Path, if_missing: str = "check the path") -> Any:
    """Read a JSON file.

    Args:
        path: The file.
        if_missing: What the message advises where there is no such file.

    Raises:
        InputError: It is missing, unreadable, or not JSON.
    """
    try:
        return json.loads(read_text(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {if_missing}") from None
    except (OSError, ValueError, RecursionError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise InputError(f"{path}: cannot be read as JSON ({reason!s:.200}); correct it") from None


def read_json(path: Path, if_missing: str = "check the path") -> dict[str, Any]:
    """Read a JSON file that holds a mapping; arguments are those of `read_json_content`.

    Raises:
        InputError: It is missing, unreadable, not JSON, or holds something else.
    """
    content = read_json_content(path, if_missing)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a mapping, found {type(content).__name__}; correct it")
    return content

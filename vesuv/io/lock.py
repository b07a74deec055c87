"""Locks between processes: who holds a folder, said to those who want it too."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from vesuv.errors import InputError
from vesuv.types import Say

_MARK = "vesuv, process "


@contextmanager
def hold_lock(path: Path, message: str, *, wait: Say | None = None) -> Iterator[None]:
    """Hold the lock file at `path`, which is removed at the end; a killed process holds no lock.

    Args:
        path: Lock file; its folder must exist.
        message: What the holder does, for the sentence of the other process: "{holder}" stands for
            its number and computer.
        wait: Called with the sentence before waiting; None: refuse instead.

    Raises:
        InputError: Another process holds the lock.
        OSError: The file cannot be written, or is a symbolic link.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        path.open("ab").close()  # the library waits for a file that may not be written, too
        sentence = message.replace("{holder}", _holder(path))
        if wait is None:
            raise InputError(sentence) from None
        wait(sentence)
        lock.acquire()
    try:
        _write_holder(path)
        yield
    finally:
        # Removed while it is held: a process that opened this file sees that it has no name.
        with suppress(OSError):
            if _is_ours(path) or path.stat().st_size == 0:
                path.unlink()
        lock.release()


def _write_holder(path: Path) -> None:
    """Write who holds the lock, unless the file was something else before."""
    with suppress(OSError):
        if path.stat().st_size == 0 or _is_ours(path):
            path.write_text(f"{_MARK}{os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")


def _holder(path: Path) -> str:
    """Return the process in a lock file, as in "process 12 on host"."""
    if not _is_ours(path):
        return "another process"
    text = path.read_bytes()[:200].decode("utf-8", errors="replace")
    return text.removeprefix("vesuv, ").strip()


def _is_ours(path: Path) -> bool:
    """Return whether a lock file holds our note."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MARK)).decode("ascii", errors="replace") == _MARK
    except OSError:
        return False

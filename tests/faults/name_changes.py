"""A process that is killed where it changes a name in the file system."""

from __future__ import annotations

import builtins
import io
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHANGES = ("rename", "replace", "link", "symlink", "unlink", "remove", "rmdir", "mkdir")
"""Functions of `os` that add, move or remove a name."""
_PATHS = (str, bytes, os.PathLike)
_OPEN = os.open


@dataclass(frozen=True)
class KilledAtNameChange:
    """Called in a process, it kills that process at one of its changes of names below a folder.

    A change is a file created or emptied, a folder made, a name moved or removed.
    """

    folder: Path
    number: int
    """Which change, from 1; 0: none."""
    done: bool = False
    """Kill just behind the change, not just before it."""
    ending: str = ""
    """Only changes of names that end so are counted."""
    record: Path | None = None
    """File that receives one line for each change."""

    def __call__(self) -> None:
        """Replace the functions of this process that change names.

        One core gives one thread of preparation, so that the changes have one order.
        """
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        watch = _Watch(self)
        for name in _CHANGES:
            setattr(os, name, watch.change(name, getattr(os, name)))
        os.open = watch.creation(os.open)
        builtins.open = io.open = watch.creation(builtins.open)


class _Watch:
    def __init__(self, killed: KilledAtNameChange) -> None:
        self.killed, self.count = killed, itertools.count(1)

    def change(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function of `os`, watched."""

        def watched(*args: Any, **options: Any) -> Any:
            descriptor = options.get("dir_fd", options.get("src_dir_fd"))
            paths = [_absolute(path, descriptor) for path in args[:2] if isinstance(path, _PATHS)]
            exists = os.path.lexists(paths[0])
            if exists if name == "mkdir" else not exists and name != "symlink":
                return function(*args, **options)  # is refused and changes nothing
            with self.moment(name, paths[-1]):
                return function(*args, **options)

        return watched

    def creation(self, opened: Callable[..., Any]) -> Callable[..., Any]:
        """Return `open`, watched where it adds a name or empties a file."""

        def watched(path: Any, mode: Any = "r", *args: Any, **options: Any) -> Any:
            if not isinstance(path, _PATHS) or not _is_change(mode, path):
                return opened(path, mode, *args, **options)
            with self.moment("create", _absolute(path, options.get("dir_fd"))):
                return opened(path, mode, *args, **options)

        return watched

    @contextmanager
    def moment(self, name: str, path: str) -> Iterator[None]:
        """Count a change, and kill the process before or behind it when it is the one."""
        killed = self.killed
        if not (path.startswith(f"{killed.folder}{os.sep}") and path.endswith(killed.ending)):
            yield
            return
        number = next(self.count)
        if killed.record is not None:
            descriptor = _OPEN(killed.record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(descriptor, f"{name} {path}\n".encode())
            os.close(descriptor)
        if number == killed.number and not killed.done:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            yield
        finally:
            if number == killed.number:
                os.kill(os.getpid(), signal.SIGKILL)


def _absolute(path: Any, descriptor: int | None) -> str:
    text = Path(os.fsdecode(path))
    if descriptor is not None:
        text = Path(os.readlink(f"/proc/self/fd/{descriptor}")) / text  # noqa: PTH115
    return str(text.absolute())


def _is_change(mode: Any, path: Any) -> bool:
    if isinstance(mode, int):
        empties, creates = bool(mode & os.O_TRUNC), bool(mode & os.O_CREAT)
    else:
        empties, creates = "w" in mode, bool(set("wax") & set(mode))
    return empties or (creates and not os.path.lexists(path))

"""Atomic writing: under a temporary name first, then a rename to the final name.

A reader sees the former file or the new one, never a half-written one. The temporary name holds the
id of the writing process and begins with a dot, so that listings of volumes leave it out.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vesuv.errors import InputError

_TEMPORARY = re.compile(
    r"\.(?P<name>.+?)\.(?P<pid>\d+)\.(?P<old>old\.)?partial(?:\..+)?", re.DOTALL
)
"""Matches a temporary name; `old` marks a former folder that makes room for the new one."""


@contextmanager
def atomic_replace(
    path: Path,
    *,
    ending: str = "",
    flush: bool = False,
    previous: Path | None = None,
    make_folder: bool = True,
) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` when the body has succeeded.

    When the body fails, the temporary file or folder is removed and `path` stays unchanged. A
    symbolic link stays a link; the file it points to is replaced. A file is replaced in one step. A
    folder needs two, because the former folder is moved aside first: if the process is killed
    between them, `clear_leftovers` moves the former folder back.

    Args:
        path: File or folder to write.
        ending: Ending of the temporary name, for libraries that choose the format by it.
        flush: Flush to disk before the rename, so that a power cut cannot leave an empty file.
        previous: Keep the former file under this name.
        make_folder: Make a missing parent folder of `path`; else refuse.

    Raises:
        OSError: Writing failed; see `catch_write_errors`.
    """
    target = path.resolve() if path.is_symlink() else path
    if make_folder:
        target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.partial{ending}")
    _remove(temporary)
    try:
        yield temporary
        if flush:
            _flush(temporary)
        if previous is not None and target.is_file():
            _exchange(temporary, target, previous)
        elif target.is_dir() and temporary.is_dir():
            former = target.with_name(f".{target.name}.{os.getpid()}.old.partial")
            _exchange(temporary, target, former)
            _remove(former)
        else:
            temporary.replace(target)
    finally:
        _remove(temporary)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all; a missing folder is made.

    Raises:
        InputError: The file cannot be written.
    """
    with catch_write_errors(path), atomic_replace(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def catch_write_errors(path: Path, hint: str = "check folder and space") -> Iterator[None]:
    """Turn an OSError into an InputError.

    Args:
        path: File or folder that is written; the message names the failed file below it.
        hint: What the user should do.

    Raises:
        InputError: The body raised an OSError.
    """
    try:
        yield
    except OSError as fault:
        failed_path = fault.filename if isinstance(fault.filename, str) else str(path)
        final_path = _final_path(Path(failed_path))
        raise InputError(
            f"{final_path if final_path.is_relative_to(path) else path}: cannot be written "
            f"({fault.strerror or fault}); {hint}"
        ) from None


def leftovers(folder: Path) -> list[Path]:
    """Return the temporary files and folders of processes that no longer run."""
    if not folder.is_dir():
        return []
    matches = ((path, _TEMPORARY.fullmatch(path.name)) for path in folder.iterdir())
    return sorted(path for path, match in matches if match and not _is_running(int(match["pid"])))


def clear_leftovers(path: Path) -> None:
    """Remove the temporary files and folders of `path` that killed processes left behind.

    A former folder that was moved aside is moved back if `path` is missing.

    Raises:
        OSError: The former folder cannot be moved back.
    """
    target = path.resolve() if path.is_symlink() else path
    for leftover in leftovers(target.parent):
        match = _TEMPORARY.fullmatch(leftover.name)
        if match is None or match["name"] != target.name:
            continue
        if match["old"] and not target.exists():
            leftover.replace(target)
        else:
            _remove(leftover)


def _exchange(temporary: Path, target: Path, former: Path) -> None:
    """Move `target` to `former` and `temporary` to `target`."""
    target.replace(former)
    try:
        temporary.replace(target)
    except BaseException:
        former.replace(target)
        raise


def _flush(path: Path) -> None:
    for file in [path] if path.is_file() else (p for p in path.rglob("*") if p.is_file()):
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _final_path(path: Path) -> Path:
    """The path with each temporary name replaced by its final name."""
    matches = ((part, _TEMPORARY.fullmatch(part)) for part in path.parts)
    return Path(*(match["name"] if match else part for part, match in matches))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True

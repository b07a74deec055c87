"""Atomic writing: under a temporary name first, then a rename to the final name.

A reader sees the former file or the new one, never a half-written one. The temporary name holds
"vesuv" and the id of the writing process, and begins with a dot, so that listings of volumes leave
it out. A symbolic link is replaced like a file: what it points to is neither written nor deleted.
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
    r"\.(?P<name>.+)\.vesuv-(?P<pid>\d+)(?P<old>-old)?\.partial(?:\..+)?", re.DOTALL
)
"""Matches a temporary name; `old` marks a whole former folder that made room for the new one."""


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

    When the body fails, the temporary file or folder is removed and `path` stays unchanged. What a
    killed process left of the same `path` is removed when the new one is whole. A file
    is replaced in one step. A folder needs two, because the former folder is moved aside first: if
    the process is killed between them, `restore_folder` moves the former folder back.

    Args:
        path: File or folder to write.
        ending: Ending of the temporary name, for libraries that choose the format by it.
        flush: Flush to disk before the rename, so that a power cut cannot leave an empty file.
        previous: Keep the former file under this name.
        make_folder: Make a missing parent folder of `path`; else refuse.

    Raises:
        OSError: Writing failed; see `catch_write_errors`.
    """
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path, ending=ending)
    _remove(temporary)
    try:
        yield temporary
        if flush:
            _flush(temporary)
        if previous is not None and path.is_file() and not path.is_symlink():
            _exchange(temporary, path, previous)
        elif path.is_dir() and temporary.is_dir():
            former = _temporary(path, old="-old")
            _exchange(temporary, path, former)
            former.replace(temporary)  # half removed it must not look like one to be moved back
        else:
            temporary.replace(path)
        clear_leftovers(path.parent, path.name)
    finally:
        _remove(temporary)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside `path` that is removed at the end, or by the next call for `path`.

    Raises:
        OSError: The folder cannot be made.
    """
    clear_leftovers(path.parent, path.name)
    folder = _temporary(path)
    folder.mkdir()
    try:
        yield folder
    finally:
        _remove(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all; a missing folder is made.

    Characters that UTF-8 cannot hold, as in file names that are no UTF-8, are written as \\udcff.

    Raises:
        InputError: The file cannot be written.
    """
    with catch_write_errors(path), atomic_replace(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


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


def is_temporary(name: str) -> bool:
    """Return whether a name is one that `atomic_replace` writes under."""
    return _TEMPORARY.fullmatch(name) is not None


def has_temporaries(path: Path) -> bool:
    """Return whether files or folders lie beside `path` that are to take its place, or had it."""
    return any(match["name"] == path.name for _, match in _temporaries(path.parent))


def clear_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files and folders in `folder` of processes that no longer run.

    Args:
        folder: Where they lie.
        name: Only those that were to take the place of this name, or had it.
    """
    for path, match in _temporaries(folder):
        if name in (None, match["name"]) and not _is_running(int(match["pid"])):
            _remove(path)


def unfinished_folders(path: Path) -> list[Path]:
    """Return what killed processes wrote of the folder `path`; needs its lock.

    A killed process may have had the id of this one. Its folder gets another name, because this
    process writes under that one.
    """
    own = _temporary(path)
    if own.is_dir() and not own.is_symlink():
        aside = _temporary(path, ending=".unfinished")
        _remove(aside)
        own.replace(aside)
    leftovers = [one for one, match in _temporaries(path.parent) if _is_unfinished(match, path)]
    return [one for one in leftovers if one.is_dir()]


def _is_unfinished(match: re.Match[str], path: Path) -> bool:
    return match["name"] == path.name and not match["old"]


def restore_folder(path: Path, marker: str, *, keep_unfinished: bool = False) -> None:
    """Undo a replacement of the folder `path` whose process was killed; needs its lock.

    A former folder that was moved aside is moved back where nothing took its place; it is deleted
    only where the new folder is whole. Without the lock, a process that still writes would lose its
    folder: its id tells nothing, because another process may have got it.

    Args:
        path: Folder that `atomic_replace` writes.
        marker: Name of a file that each such folder holds.
        keep_unfinished: Leave the `unfinished_folders` where they are.

    Raises:
        OSError: The former folder cannot be moved back.
    """
    for leftover, match in _temporaries(path.parent):
        if match["name"] != path.name:
            continue
        if _is_unfinished(match, path):
            if not keep_unfinished:
                _remove(leftover)
        elif (path / marker).is_file():
            half_removed = _temporary(path, ending=".former")
            leftover.replace(half_removed)
            _remove(half_removed)
        elif not path.exists() or (path.is_dir() and not any(path.iterdir())):
            leftover.replace(path)


def _temporary(path: Path, *, old: str = "", ending: str = "") -> Path:
    return path.with_name(f".{path.name}.vesuv-{os.getpid()}{old}.partial{ending}")


def _temporaries(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    """Temporary files and folders in a folder, links left out."""
    if not folder.is_dir():
        return []
    matches = ((path, _TEMPORARY.fullmatch(path.name)) for path in folder.iterdir())
    found = [(path, match) for path, match in matches if match and not path.is_symlink()]
    return sorted(found, key=lambda pair: pair[0])


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

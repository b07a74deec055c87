"""Cases that a killed preparation had finished: the next one with equal inputs takes them over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from vesuv import __version__
from vesuv.data.fingerprint import Settings, Sources
from vesuv.data.store import StoredCase, case_path, open_case
from vesuv.errors import InputError

FILE = "unfinished.json"
"""Holds what the cases of a store depend on, as long as the store is not whole."""


def take_over_cases(
    leftovers: Sequence[Path],
    folder: Path,
    settings: Settings,
    sources: Sources,
    ids: Sequence[str],
) -> list[StoredCase]:
    """Move finished cases into a new store that is made from the same data; remove the rest.

    Args:
        leftovers: Folders that killed processes left.
        folder: The new store, of which nothing is written yet.
        settings: Its settings.
        sources: Its raw files.
        ids: Its cases.

    Returns:
        The cases that were moved.
    """
    text = json.dumps({"vesuv": __version__, "settings": settings, "sources": sources})
    (folder / FILE).write_text(text, encoding="utf-8")
    cases: dict[str, StoredCase] = {}
    for leftover in leftovers:
        if _text(leftover / FILE) == text:
            for name in ids:
                if name not in cases and _is_whole(case_path(leftover, name)):
                    target = case_path(folder, name)
                    target.parent.mkdir(exist_ok=True)
                    case_path(leftover, name).replace(target)
                    cases[name] = open_case(target)
        shutil.rmtree(leftover, ignore_errors=True)
    return list(cases.values())


def _is_whole(path: Path) -> bool:
    """Whether a case can be opened, and its files have their full lengths."""
    try:
        case = open_case(path)
        return all(
            array.size for array in (case.image, case.native_label, case.label, case.stored_counts)
        )
    except InputError:
        return False


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None

"""Configurations and studies that come with vesuv: `--config v9_progressive`, `base: base`."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_SUFFIXES = (".yaml", ".yml")
_STUDIES = "studies"
"""Folder of files that compare configurations and are none."""
_CURVES = "curves"
"""Folder of the configurations of `vesuv.curves`."""


@cache
def shipped_folder() -> Path:
    """Return the folder of the shipped files: in an installed package, else in the repository."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


@cache
def shipped_files() -> dict[str, Path]:
    """Return name -> file; of two files with one name, the one in the upper folder."""
    folder = shipped_folder()
    files = [
        file
        for file in folder.rglob("*.yaml")
        if file.relative_to(folder).parts[0] not in (_STUDIES, _CURVES)
    ]
    files.sort(key=lambda file: (len(file.parts), file))
    return {file.stem: file for file in reversed(files)}


def is_shipped(path: Path) -> bool:
    """Return whether a file is one of the shipped configurations."""
    return path.resolve().is_relative_to(shipped_folder().resolve())


def config_path(word: str | Path, folder: Path = Path()) -> Path:
    """Return the file that `--config` or `base:` names.

    Args:
        word: Path of a file, or the name of a shipped one, without folder and suffix.
        folder: Folder that a relative path counts from.
    """
    text = str(word)
    if _is_name(text) and text in shipped_files():
        return shipped_files()[text]
    return folder / text


def study_path(word: str | Path) -> Path:
    """Return the file that `vesuv study` names: a path, or the name of a shipped study."""
    shipped = shipped_folder() / _STUDIES / f"{word}.yaml"
    return shipped if _is_name(str(word)) and shipped.is_file() else Path(word)


def _is_name(word: str) -> bool:
    return os.sep not in word and "/" not in word and not word.endswith(_SUFFIXES)

"""Paths of a case's files, and of the volumes in a folder by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vesuv.errors import InputError
from vesuv.io.formats import stem, suffix, volumes_in


@dataclass(frozen=True)
class CasePaths:
    """One case's files.

    Args:
        id: Name, from the files.
        images: One file for each channel, or one file with all channels.
        label: Label file; None for a case that is only predicted.
        group: `scroll_id` of train.csv; None without one.
        part: Index of this part and number of parts, where the files are cut (`data.parts`).
        level: Level of OME-Zarr images (`data.level`); 0 is the finest.
        fill: Label value of every voxel of a case that is prepared without a label file.
    """

    id: str
    images: tuple[Path, ...]
    label: Path | None
    group: str | None
    part: tuple[int, int] | None = None
    level: int = 0
    fill: int | None = None


def volumes_by_stem(folder: Path, ending: str | None = None) -> dict[str, Path]:
    """Return name without ending -> volume of a folder.

    Args:
        folder: The folder.
        ending: Ending of the volumes that count; None: all.

    Raises:
        InputError: Two files have one name.
    """
    files: dict[str, Path] = {}
    for path in volumes_in(folder):
        if ending is not None and suffix(path) != ending:
            continue
        name = stem(path)
        if name in files:
            raise InputError(
                f"{path}: {files[name].name} has the same name; keep one file for each case"
            )
        files[name] = path
    return files

"""Paths of a case's files, and of the volumes in a folder by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vesuv.data.statistics import CaseStatistics
from vesuv.errors import InputError
from vesuv.io.formats import stem, suffix, volumes_in


@dataclass(frozen=True)
class CubeOrigin:
    """Where a cube of `data.cubes` comes from.

    Args:
        folder: The folder of `data.cubes`.
        cases: Cases of the data set that hold voxels of it.
        statistics: Intensities of the volume that it was cut out of; None where not known.
    """

    folder: Path
    cases: tuple[str, ...] = ()
    statistics: CaseStatistics | None = None


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
        cube: Origin of a cube of `data.cubes`; None for all other cases.
    """

    id: str
    images: tuple[Path, ...]
    label: Path | None
    group: str | None
    part: tuple[int, int] | None = None
    level: int = 0
    fill: int | None = None
    cube: CubeOrigin | None = None


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


def matched_cases(
    images: Path, labels: Path, groups: Mapping[str, str | None]
) -> tuple[list[CasePaths], list[str]]:
    """List the cases of two folders whose files have the same names.

    Args:
        images: Folder of the images.
        labels: Folder of the labels.
        groups: Case id -> group.

    Returns:
        The complete cases, and one sentence for each file without a partner.
    """
    image_files, label_files = volumes_by_stem(images), volumes_by_stem(labels)
    faults = [
        f"{files[name]}: no file of this name in {folder}; add it or take this one out"
        for files, partners, folder in (
            (image_files, label_files, labels),
            (label_files, image_files, images),
        )
        for name in sorted(set(files) - set(partners))
    ]
    names = sorted(set(image_files) & set(label_files))
    cases = [CasePaths(n, (image_files[n],), label_files[n], groups.get(n)) for n in names]
    return cases, faults

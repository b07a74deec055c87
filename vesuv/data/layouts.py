"""Files of each case in the five layouts of raw data."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

from vesuv.config.data import DataConfig
from vesuv.config.nnunet import missing_root
from vesuv.data.case_paths import CasePaths, matched_cases, volumes_by_stem
from vesuv.data.cubes import cube_cases
from vesuv.data.nnunet import nnunet_cases
from vesuv.data.ome_zarr import ome_zarr_cases, zarr_images
from vesuv.data.pairs import pair_cases
from vesuv.data.parts import split_cases
from vesuv.errors import InputError, InputErrors
from vesuv.files import open_text
from vesuv.io.formats import SUFFIXES
from vesuv.io.tables import plain_cell

_DEPRECATED_FOLDER = "deprecated_train_images"
_LIST = "train.csv"


def find_cases(config: DataConfig) -> list[CasePaths]:
    """List the training cases of a data set, sorted by id.

    Raises:
        InputErrors: Folders are missing or empty, or listed cases lack a file.
    """
    cases, faults = scan_cases(config)
    if faults:
        raise InputErrors(faults)
    return cases


def scan_cases(config: DataConfig) -> tuple[list[CasePaths], list[str]]:
    """List the training cases of a data set, its cubes too, and the faults of incomplete ones.

    Returns:
        Complete cases, sorted by id, and one sentence for each fault of the others.

    Raises:
        InputError: A folder or the list of cases is missing.
    """
    check_root(config)
    root = Path(config.root)
    has_list = config.layout == "kaggle" and (root / _LIST).exists()
    if has_list or config.layout in ("nnunet", "folders"):
        _check_volume_folders(config)
    if config.layout == "kaggle":
        cases, faults = _kaggle(root, config)
    elif config.layout == "nnunet":
        cases, faults = nnunet_cases(root, read_groups(root / _LIST) or {})
    elif config.layout == "pairs":
        groups = read_groups(root / _LIST) or {}
        cases, faults = pair_cases(root, config.images, config.labels, groups)
    elif config.layout == "ome_zarr":
        cases, faults = ome_zarr_cases(root, config.labels, read_groups(root / _LIST) or {})
    else:
        groups = read_groups(root / _LIST) or {}
        cases, faults = matched_cases(root / config.images, root / config.labels, groups)
    if not cases and not faults:
        raise InputError(
            f"{root}: no case found in layout {config.layout}, of volumes in files "
            f"{', '.join(SUFFIXES)}; see data.layout"
        )
    cases = [replace(case, level=config.level) for case in split_cases(cases, config.parts)]
    cubes, cube_faults = cube_cases(config, [case.id for case in cases])
    return sorted([*cases, *cubes], key=lambda case: case.id), [*faults, *cube_faults]


def case_of(name: str, config: DataConfig) -> str:
    """Return the id that an image of this name, without ending, has as a case of the layout."""
    word = {"nnunet": "0000", "pairs": config.images}.get(config.layout)
    return re.sub(rf"(?<=.)[_-]{re.escape(word)}$", "", name, flags=re.IGNORECASE) if word else name


def check_root(config: DataConfig) -> None:
    """Refuse a missing folder of raw data.

    Raises:
        InputError: Names it, and where the data can be had.
    """
    if not Path(config.root).is_dir():
        raise InputError(missing_root(config.root, config.source))


def volume_folders(config: DataConfig) -> tuple[Path, ...]:
    """Return the folders of images and labels; none where both lie in the root itself."""
    root = Path(config.root)
    if config.layout == "pairs":
        return ()
    if config.layout == "ome_zarr":
        return tuple(zarr_images(root))
    if config.layout == "nnunet":
        return root / "imagesTr", root / "labelsTr"
    return root / config.images, root / config.labels


def _check_volume_folders(config: DataConfig) -> None:
    """Refuse missing folders of images and labels, and name the folders that are there."""
    root = Path(config.root)
    names = sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    for key, folder in zip(("images", "labels"), volume_folders(config), strict=True):
        if not folder.is_dir():
            remedy = "data.layout=..." if config.layout == "nnunet" else f"data.{key}=..."
            raise InputError(
                f"{folder}: no such folder; {root} holds {', '.join(names) or 'no folder'}: use "
                f"--set {remedy} or correct data.root"
            )


def _kaggle(root: Path, config: DataConfig) -> tuple[list[CasePaths], list[str]]:
    groups = read_groups(root / _LIST)
    if groups is None:
        raise InputError(
            f"{root / 'train.csv'}: no such file; layout kaggle lists its cases there (columns "
            "id,scroll_id); use layout folders for data without it"
        )
    images, labels = volumes_by_stem(root / config.images), volumes_by_stem(root / config.labels)
    has_deprecated = (root / _DEPRECATED_FOLDER).is_dir()
    deprecated = set(volumes_by_stem(root / _DEPRECATED_FOLDER)) if has_deprecated else set()
    cases, faults = [], []
    for case_id, group in groups.items():
        if case_id in deprecated:
            continue
        missing = [
            folder
            for folder, files in ((config.images, images), (config.labels, labels))
            if case_id not in files
        ]
        if missing:
            faults.append(
                f"{root / 'train.csv'}: case {case_id} has no file in {' nor in '.join(missing)}; "
                "add the file or take the line out"
            )
        else:
            cases.append(CasePaths(case_id, (images[case_id],), labels[case_id], group))
    return cases, faults


def read_groups(path: Path) -> dict[str, str | None] | None:
    """Return id -> scroll_id of a train.csv in the file's order; None without the file.

    Raises:
        InputError: The file has no column `id`, has an id twice, or is not readable as CSV.
    """
    try:
        with open_text(path, newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = reader.fieldnames or []
            if "id" not in columns:
                raise InputError(f"{path}: needs a column `id`, found {list(columns)}; name it")
            groups: dict[str, str | None] = {}
            for row in reader:
                name = plain_cell(row["id"] or "")
                if name in groups:
                    raise InputError(f"{path}: id {name} stands twice; remove one line")
                groups[name] = plain_cell(row.get("scroll_id") or "") or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise InputError(f"{path}: cannot be read as CSV ({reason}); save it as UTF-8") from None
    return groups

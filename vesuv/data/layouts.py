"""Files of each case in the three layouts of raw data."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.config.data import DataConfig
from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError, InputErrors
from vesuv.files import open_text
from vesuv.io.formats import stem, suffix, volumes_in
from vesuv.io.tables import plain_cell, read_json

_DEPRECATED_FOLDER = "deprecated_train_images"
_CHANNEL_DIGITS = 4
_LIST = "train.csv"


@dataclass(frozen=True)
class CasePaths:
    """One case's files.

    Args:
        id: Name, from the files.
        images: One file for each channel, or one file with all channels.
        label: Label file; None for a case that is only predicted.
        group: `scroll_id` of train.csv; None without one.
    """

    id: str
    images: tuple[Path, ...]
    label: Path | None
    group: str | None


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
    """List the training cases of a data set, and the faults of incomplete ones.

    Returns:
        Complete cases, sorted by id, and one sentence for each fault of the others.

    Raises:
        InputError: A folder or the list of cases is missing.
    """
    check_root(config)
    root = Path(config.root)
    if config.layout != "kaggle" or (root / _LIST).exists():
        _check_volume_folders(config)
    if config.layout == "kaggle":
        cases, faults = _kaggle(root, config)
    elif config.layout == "nnunet":
        cases, faults = _nnunet(root)
    else:
        cases, faults = _folders(root, config)
    if not cases and not faults:
        raise InputError(f"{root}: no case found in layout {config.layout}; see data.layout")
    return sorted(cases, key=lambda case: case.id), faults


def check_root(config: DataConfig) -> None:
    """Refuse a missing folder of raw data.

    Raises:
        InputError: Names it, and where the data can be had.
    """
    if not Path(config.root).is_dir():
        source = f" ({config.source})" if config.source else ""
        raise InputError(
            f"data.root: {config.root} is no folder; name the folder of the raw data{source} with "
            "--set data.root=..."
        )


def volume_folders(config: DataConfig) -> tuple[Path, Path]:
    """Return the folders of images and labels."""
    root = Path(config.root)
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


def check_dataset_json(root: Path, labels: LabelsConfig) -> None:
    """Compare the labels that dataset.json declares with the configuration's.

    Raises:
        InputError: They differ, or dataset.json cannot be read.
    """
    declared = _dataset_json(root).get("labels")
    path = root / "dataset.json"
    if not isinstance(declared, dict):
        raise InputError(f"{path}: needs a mapping `labels`, found {declared!r}; add it")
    try:
        values = {int(value) for value in _flatten(declared.values())}
        ignore = None if declared.get("ignore") is None else int(declared["ignore"])
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{path}: labels: class name -> number, found {declared!r:.200}; correct it"
        ) from None
    configured = {value for _, group in labels.values() for value in group}
    configured |= set() if labels.ignore is None else {labels.ignore}
    if values != configured or ignore != labels.ignore:
        raise InputError(
            f"{path}: its labels {declared!r:.200} and the configuration's labels {labels.classes} "
            f"with ignore {labels.ignore} must name the same values; change one of them"
        )
    for name, group in labels.values():
        if name in declared and not {int(v) for v in _flatten([declared[name]])} & set(group):
            raise InputError(
                f"{path}: its label {name} is {declared[name]!r:.60}, in the configuration's "
                f"labels.classes {name} is {labels.classes[name]}; correct one of them"
            )


def _kaggle(root: Path, config: DataConfig) -> tuple[list[CasePaths], list[str]]:
    groups = read_groups(root / _LIST)
    if groups is None:
        raise InputError(
            f"{root / 'train.csv'}: no such file; layout kaggle lists its cases there (columns "
            "id,scroll_id); use layout folders for data without it"
        )
    images, labels = _by_stem(root / config.images), _by_stem(root / config.labels)
    has_deprecated = (root / _DEPRECATED_FOLDER).is_dir()
    deprecated = set(_by_stem(root / _DEPRECATED_FOLDER)) if has_deprecated else set()
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


def _nnunet(root: Path) -> tuple[list[CasePaths], list[str]]:
    ending = _dataset_json(root).get("file_ending")
    labels = _by_stem(root / "labelsTr", ending)
    channels: dict[str, dict[int, Path]] = {}
    faults = []
    for name, path in _by_stem(root / "imagesTr", ending).items():
        case_id, _, digits = name.rpartition("_")
        if not case_id or len(digits) != _CHANNEL_DIGITS or not digits.isdigit():
            faults.append(f"{path}: image names end in _0000, _0001 … for channels; rename it")
        else:
            channels.setdefault(case_id, {})[int(digits)] = path
    num = max((max(files) + 1 for files in channels.values()), default=0)
    groups = read_groups(root / _LIST) or {}
    cases = []
    for case_id, files in channels.items():
        absent = [f"{case_id}_{index:04d}" for index in range(num) if index not in files]
        if absent:
            faults.append(f"{root / 'imagesTr'}: channel {absent[0]} is missing; add its file")
        elif case_id not in labels:
            faults.append(f"{root / 'labelsTr'}: case {case_id} has no label; add its file")
        else:
            images = tuple(files[channel] for channel in sorted(files))
            cases.append(CasePaths(case_id, images, labels[case_id], groups.get(case_id)))
    faults += [
        f"{path}: a label without an image in imagesTr; add {name}_0000"
        for name, path in labels.items()
        if name not in channels
    ]
    return cases, faults


def _folders(root: Path, config: DataConfig) -> tuple[list[CasePaths], list[str]]:
    images, labels = _by_stem(root / config.images), _by_stem(root / config.labels)
    groups = read_groups(root / _LIST) or {}
    faults = [
        f"{files[name]}: no file of this name in {root / folder}; add it or take this one out"
        for files, partners, folder in (
            (images, labels, config.labels),
            (labels, images, config.images),
        )
        for name in sorted(set(files) - set(partners))
    ]
    names = sorted(set(images) & set(labels))
    cases = [CasePaths(name, (images[name],), labels[name], groups.get(name)) for name in names]
    return cases, faults


def _by_stem(folder: Path, ending: str | None = None) -> dict[str, Path]:
    """Volumes of a folder by name without ending; two files of one name are refused."""
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


def _dataset_json(root: Path) -> dict[str, Any]:
    path = root / "dataset.json"
    if not path.exists():
        raise InputError(f"{path}: no such file; layout nnunet needs it")
    return read_json(path)


def _flatten(values: Iterable[Any]) -> list[Any]:
    return [item for value in values for item in (value if isinstance(value, list) else [value])]

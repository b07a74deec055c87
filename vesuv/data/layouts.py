"""Which files make up which case, for the three layouts of raw data."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesuv.config.data import DataConfig, LabelsConfig
from vesuv.errors import InputError, InputErrors
from vesuv.io.formats import stem, suffix, volumes_in

_DEPRECATED = "deprecated_train_images"
_CHANNEL_DIGITS = 4


@dataclass(frozen=True)
class RawCase:
    """One case's files.

    Args:
        id: Name, from the files.
        images: One file a channel, or one file that holds all channels.
        label: Label file; None for a case that is only predicted.
        group: `scroll_id` of train.csv; None when there is none.
    """

    id: str
    images: tuple[Path, ...]
    label: Path | None
    group: str | None


Found = tuple[list[RawCase], list[str]]


def find_cases(config: DataConfig) -> list[RawCase]:
    """List the training cases of a data set, sorted by id.

    Raises:
        InputErrors: A folder is missing or empty, or a listed case lacks a file; all at once.
    """
    cases, faults = scan_cases(config)
    if faults:
        raise InputErrors(faults)
    return cases


def scan_cases(config: DataConfig) -> tuple[list[RawCase], list[str]]:
    """As `find_cases`, but return (complete cases, faults of the others).

    Raises:
        InputError: Nothing can be listed: a folder or the list itself is missing.
    """
    root = Path(config.root)
    if not root.is_dir():
        raise InputError(f"data.root: {root} is no folder; give the folder of the raw data")
    if config.layout == "kaggle":
        found, faults = _kaggle(root, config)
    elif config.layout == "nnunet":
        found, faults = _nnunet(root)
    else:
        found, faults = _folders(root, config)
    if not found and not faults:
        raise InputError(f"{root}: no case found in layout {config.layout}; see data.layout")
    return sorted(found, key=lambda case: case.id), faults


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
        values = {int(v) for v in _flat(declared.values())}
        ignore = None if declared.get("ignore") is None else int(declared["ignore"])
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{path}: labels: class name -> number, found {declared!r:.200}; correct it"
        ) from None
    ours = {value for _, group in labels.values() for value in group}
    ours |= set() if labels.ignore is None else {labels.ignore}
    if values != ours or ignore != labels.ignore:
        raise InputError(
            f"{path}: its labels {declared!r:.200} and the configuration's labels {labels.classes} "
            f"with ignore {labels.ignore} must name the same values; change one of them"
        )


def _kaggle(root: Path, config: DataConfig) -> Found:
    groups = read_groups(root / "train.csv")
    if groups is None:
        raise InputError(
            f"{root / 'train.csv'}: no such file; layout kaggle lists its cases there (columns "
            "id,scroll_id); use layout folders for data without it"
        )
    images, labels = _by_stem(root / config.images), _by_stem(root / config.labels)
    folder = root / _DEPRECATED
    deprecated = set(_by_stem(folder)) if folder.is_dir() else set()
    cases, faults = [], []
    for case_id, group in groups.items():
        if case_id in deprecated:
            continue
        missing = [
            name
            for name, there in ((config.images, images), (config.labels, labels))
            if case_id not in there
        ]
        if missing:
            faults.append(
                f"{root / 'train.csv'}: case {case_id} has no file in {' nor in '.join(missing)}; "
                "add the file or take the line out"
            )
        else:
            cases.append(RawCase(case_id, (images[case_id],), labels[case_id], group))
    return cases, faults


def _nnunet(root: Path) -> Found:
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
    groups = read_groups(root / "train.csv") or {}
    cases = []
    for case_id, files in channels.items():
        absent = [f"{case_id}_{index:04d}" for index in range(num) if index not in files]
        if absent:
            faults.append(f"{root / 'imagesTr'}: channel {absent[0]} is missing; add its file")
        elif case_id not in labels:
            faults.append(f"{root / 'labelsTr'}: case {case_id} has no label; add its file")
        else:
            images = tuple(files[channel] for channel in sorted(files))
            cases.append(RawCase(case_id, images, labels[case_id], groups.get(case_id)))
    faults += [
        f"{path}: a label without an image in imagesTr; add {name}_0000"
        for name, path in labels.items()
        if name not in channels
    ]
    return cases, faults


def _folders(root: Path, config: DataConfig) -> Found:
    images, labels = _by_stem(root / config.images), _by_stem(root / config.labels)
    groups = read_groups(root / "train.csv") or {}
    faults = [
        f"{there[name]}: no file of this name in {root / other}; add it or take this one out"
        for there, others, other in (
            (images, labels, config.labels),
            (labels, images, config.images),
        )
        for name in sorted(set(there) - set(others))
    ]
    both = sorted(set(images) & set(labels))
    return [RawCase(i, (images[i],), labels[i], groups.get(i)) for i in both], faults


def _by_stem(folder: Path, ending: str | None = None) -> dict[str, Path]:
    """Volumes of a folder by name without ending; two files of one name are a fault."""
    found: dict[str, Path] = {}
    for path in volumes_in(folder):
        if ending is not None and suffix(path) != ending:
            continue
        name = stem(path)
        if name in found:
            raise InputError(
                f"{path}: {found[name].name} has the same name; keep one file for each case"
            )
        found[name] = path
    return found


def read_groups(path: Path) -> dict[str, str | None] | None:
    """Return id -> scroll_id of a train.csv in the file's order; None when there is no such file.

    Raises:
        InputError: No column `id`, an id twice, or not readable as CSV.
    """
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = reader.fieldnames or []
            if "id" not in columns:
                raise InputError(f"{path}: needs a column `id`, found {list(columns)}; name it")
            groups: dict[str, str | None] = {}
            for row in reader:
                if row["id"] in groups:
                    raise InputError(f"{path}: id {row['id']} stands twice; remove one line")
                groups[row["id"]] = row.get("scroll_id") or None
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise InputError(f"{path}: cannot be read as CSV ({fault}); save it as UTF-8") from None
    return groups


def _dataset_json(root: Path) -> dict[str, Any]:
    path = root / "dataset.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; layout nnunet needs it") from None
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{path}: cannot be read as JSON ({fault}); correct it") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a mapping, found {type(content).__name__}; correct it")
    return content


def _flat(values: Iterable[Any]) -> list[Any]:
    return [one for value in values for one in (value if isinstance(value, list) else [value])]

"""Folds from a file in the form of nnU-Net's splits_final.json."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vesuv.config.data import DataConfig, FoldsConfig
from vesuv.errors import InputError, InputErrors
from vesuv.files import read_json_content

DEFAULT: str = FoldsConfig.model_fields["file"].default
_PREPROCESSED = "nnUNet_preprocessed"

Split = tuple[tuple[str, ...], tuple[str, ...]]
"""Training and validation ids of one fold."""


def splits_file(data: DataConfig) -> Path | None:
    """Return the file that the folds are read from; None: they are drawn.

    A file of the default name is optional; it is looked for in `data.root`, then where nnU-Net
    writes it: in nnUNet_preprocessed beside the folder of all raw data sets.
    """
    name, root = data.folds.file, Path(data.root)
    if name is None:
        return None
    places = [root / name]
    if name != DEFAULT:
        return places[0]
    absolute = root.absolute()
    places.append(absolute.parent.parent / _PREPROCESSED / absolute.name / name)
    return next((place for place in places if place.is_file()), None)


def read_splits(path: Path, ids: Sequence[str]) -> list[Split]:
    """Read the folds of a file: a JSON list of {"train": [ids], "val": [ids]}.

    Args:
        path: The file.
        ids: Ids of all cases.

    Raises:
        InputErrors: Every fault of the file, one sentence each.
    """
    content = read_json_content(path, "correct data.folds.file")
    if not isinstance(content, list) or not content or not all(map(_is_split, content)):
        raise InputError(
            f'{path}: holds a list with {{"train": [ids], "val": [ids]}} for each fold, at least '
            f"one id in each, found {content!r:.120}; correct it, or draw the folds with --set "
            "data.folds.file=null"
        )
    splits = [(tuple(split["train"]), tuple(split["val"])) for split in content]
    faults = split_faults(splits, ids)
    if faults:
        raise InputErrors([f"{path}: {fault}" for fault in faults])
    return splits


def split_faults(splits: Sequence[Split], ids: Sequence[str]) -> list[str]:
    """Return a sentence for each fault of folds that need not hold every case."""
    listed = {name for split in splits for part in split for name in part}
    faults = [
        f"case {name} is not in the data set; take it out, or add its files"
        for name in sorted(listed - set(ids))
    ]
    faults += [
        f"case {name} of the data set stands in no fold; add it to one"
        for name in sorted(set(ids) - listed)
    ]
    for fold, split in enumerate(splits):
        faults += [
            f"case {name} stands {count} times in fold {fold}; a case either trains or validates "
            "it, once"
            for name, count in Counter(name for part in split for name in part).items()
            if count > 1
        ]
    folds = Counter(name for _, validation in splits for name in set(validation))
    return faults + [
        f"case {name} validates {count} folds; a case validates one at most, because a choice "
        "among networks judges it by the one that was trained without it"
        for name, count in sorted(folds.items())
        if count > 1
    ]


def digest(path: Path) -> str | None:
    """Return a digest of a file of folds; None where it is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else None


def _is_split(split: Any) -> bool:
    parts = [split.get("train"), split.get("val")] if isinstance(split, dict) else [None]
    return all(
        isinstance(part, list) and part and all(isinstance(name, str) for name in part)
        for part in parts
    )

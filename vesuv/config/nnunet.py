"""Completion of a configuration from an nnU-Net data set: its folder by id, and its labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from vesuv.config.dataset_json import FILE, read_dataset_json
from vesuv.config.sentences import Origins
from vesuv.environment import nnunet_raw
from vesuv.errors import InputError

_ID = re.compile(r"(?:Dataset)?(?P<number>[0-9]{1,3})|Dataset[0-9]{3}_.+")
"""What nnU-Net calls a data set by: 4, 004, Dataset004, Dataset004_Hippocampus."""


def missing_root(root: str, source: str | None) -> str:
    """Return the sentence for a folder of raw data that is not there."""
    place = f" ({source})" if source else ""
    return (
        f"data.root: {root} is no folder; name the folder of the raw data{place} with "
        "--set data.root=..."
    )


def is_dataset_id(root: object) -> bool:
    """Whether a value of `data.root` can be the id or the name of a data set in $nnUNet_raw."""
    return type(root) is int or (isinstance(root, str) and _ID.fullmatch(root) is not None)


def complete(tree: dict[str, Any], origins: Origins) -> dict[str, Any]:
    """Fill in what follows from an nnU-Net data set: its folder by id, and labels left out.

    Args:
        tree: Merged configuration, not checked yet.
        origins: The origins of the added values are added here.

    Raises:
        InputError: The data set is not there, or its dataset.json cannot be used.
    """
    data = tree.get("data")
    if not isinstance(data, dict) or data.get("layout") != "nnunet":
        return tree
    if is_dataset_id(data.get("root")):
        data = {**data, "root": _dataset_folder(str(data["root"]))}
        tree = {**tree, "data": data}
    root, written = data.get("root"), tree.get("labels")
    written = {} if written is None else written
    if not isinstance(root, str) or not isinstance(written, dict) or "classes" in written:
        return tree
    if not Path(root).is_dir():
        raise InputError(missing_root(root, data.get("source")))
    labels = read_dataset_json(Path(root)).labels_section()
    if "regions" in written:
        labels = {key: value for key, value in labels.items() if key != "regions_class_order"}
    origins.setdefault(("labels",), str(Path(root) / FILE))
    for key in labels.keys() - written.keys():
        _note_origin(origins, ("labels", key), labels[key], str(Path(root) / FILE))
    return {**tree, "labels": {**labels, **written}}


def _note_origin(origins: Origins, keys: tuple[str, ...], value: Any, source: str) -> None:
    origins[keys] = source
    if isinstance(value, dict):
        origins |= {(*keys, name): source for name in value}


def _dataset_folder(name: str) -> str:
    """Return the folder of a data set by its id or name; a folder of this name is itself."""
    match = _ID.fullmatch(name)
    if match is None or Path(name).is_dir():
        return name
    raw_folder = nnunet_raw()
    if raw_folder is None:
        raise InputError(
            f"data.root: {name} is no folder, and the environment variable nnUNet_raw, which "
            "holds data sets by their id, is not set; set it, or name the folder of the raw data"
        )
    number = match["number"]
    prefix = f"Dataset{int(number):03d}_" if number else name
    folders = _folder_names(raw_folder)
    names = [one for one in folders if (one.startswith(prefix) if number else one == name)]
    if len(names) == 1:
        return str(raw_folder / names[0])
    pattern = f"{prefix}*" if number else name
    if not names:
        raise InputError(
            f"data.root: {name} is no folder, and $nnUNet_raw ({raw_folder}) holds no {pattern}, "
            f"found {', '.join(folders[:10]) or 'no folder'}; correct it"
        )
    raise InputError(
        f"data.root: {name} stands for one data set, $nnUNet_raw ({raw_folder}) holds "
        f"{', '.join(names)}; give the whole name"
    )


def _folder_names(folder: Path) -> list[str]:
    return (
        sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    )

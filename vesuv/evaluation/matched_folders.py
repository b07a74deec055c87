"""Folders of predictions matched with labels: files of each case, and where its record goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vesuv.data.layouts import read_groups
from vesuv.errors import InputError, command
from vesuv.evaluation.pairs import by_id, find_pairs, labels_in, name_folders
from vesuv.evaluation.pictures import PICTURES, Picture, PictureSource
from vesuv.evaluation.scoring import Task
from vesuv.io.places import check_no_links, check_place, contains
from vesuv.io.tables import read_json_or_none

_RECORDS = "case_scores"
"""Folder of the records of all cases."""


@dataclass(frozen=True)
class MatchedFolder:
    """One folder of predictions, matched with the labels."""

    name: str
    tasks: tuple[Task, ...]
    num_left_out: int
    """Labels without a prediction."""


def match_folders(
    predictions: Sequence[Path], labels: Path, output: Path, pictures: PictureSource | None
) -> tuple[list[MatchedFolder], list[str]]:
    """Find the files of each case; also return a fault for each prediction without a label."""
    images = {} if pictures is None else by_id(pictures.images)
    folders: list[MatchedFolder] = []
    faults: list[str] = []
    for name, path in name_folders(predictions).items():
        part = name if len(predictions) > 1 else "."
        pairs, unmatched = find_pairs(path, labels)
        faults += unmatched
        tasks = []
        for files in pairs:
            picture = None
            if pictures is not None:
                image = images.get(files.id) or images.get(f"{files.id}_0000")
                file = output / PICTURES / part / f"{files.id}.png"
                picture = Picture(image, file, pictures)
            record = output / _RECORDS / part / f"{files.id}.json"
            tasks.append(Task(files, record, picture))
        folders.append(MatchedFolder(name, tuple(tasks), len(labels_in(labels)) - len(pairs)))
    return folders, faults


def read_case_groups(path: Path | None, labels: Path) -> dict[str, str | None]:
    """Read the group of each case: from the user's file, or the train.csv beside the labels.

    Raises:
        InputError: The user's file does not exist.
    """
    groups = read_groups(path or labels.parent / "train.csv")
    if groups is None and path is not None:
        raise InputError(f"--groups: {path} is not there; give a CSV with columns id,scroll_id")
    return groups or {}


def check_output(output: Path, inputs: Mapping[str, Path | None]) -> None:
    """Refuse a folder of labels or images, or with files named like the results of another."""
    for kind, folder in inputs.items():
        if folder is not None and contains(folder, output):
            raise InputError(f"--output: {output} holds the {kind}; name another folder")
    check_place(output)
    check_no_links([output / _RECORDS, output / PICTURES])
    files = [output / name for name in ("summary.json", "scores.csv", "summary.md")]
    existing = [path for path in files if path.exists()]
    if existing and "ignored" not in (read_json_or_none(files[0]) or {}):
        raise InputError(
            f"--output: {existing[0]} was not written by {command('evaluate')}; name another folder"
        )

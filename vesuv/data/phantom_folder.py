"""Folders of phantoms, which are replaced only where they hold a phantom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vesuv.errors import InputError
from vesuv.io.places import check_no_links
from vesuv.io.tables import read_json_or_none, write_json

_LIST = "phantom.json"
"""File with the ids of a phantom's cases, so that only these are replaced."""


@dataclass(frozen=True)
class CaseFolder:
    """A folder with one file for each case.

    Args:
        part: train, or test for held-out cases.
        ending: Of its files.
    """

    part: str
    ending: str


@dataclass(frozen=True)
class PhantomLayout:
    """What a kind of phantom writes.

    Args:
        folders: Name -> folder of cases.
        files: Further files.
    """

    folders: Mapping[str, CaseFolder]
    files: Sequence[str]


def case_ids(num_cases: int, num_test: int, seed: int) -> dict[str, list[str]]:
    """Return the ids of training and of held-out cases; phantoms of different seeds share none."""
    numbers = {"train": range(num_cases), "test": range(num_cases, num_cases + num_test)}
    return {part: [f"{1000 * (seed + 1) + i}" for i in numbers[part]] for part in numbers}


def start_phantom(
    folder: Path, layout: PhantomLayout, ids: Mapping[str, Sequence[str]], *, overwrite: bool
) -> None:
    """Remove an earlier phantom's cases, and no other files; write the list of the new ones.

    Args:
        folder: Folder of the data set.
        layout: What it will hold.
        ids: Part -> ids of its cases.
        overwrite: Replace an existing phantom.

    Raises:
        InputError: The folder holds a data set, which is not replaced where it is no phantom.
    """
    names = (*layout.folders, *layout.files)
    check_no_links(folder / name for name in names)
    existing = [name for name in names if (folder / name).exists()]
    if existing and not overwrite:
        raise InputError(f"{folder}: holds {existing[0]} already; --overwrite replaces it")
    if existing and not (folder / _LIST).is_file():
        raise InputError(
            f"{folder}: {existing[0]} is not of a phantom (no {_LIST} beside it); give another "
            "--output"
        )
    listed_ids = (read_json_or_none(folder / _LIST) or {}).get("cases")
    for name, one in layout.folders.items():
        cases = listed_ids.get(one.part) if isinstance(listed_ids, dict) else None
        for case in cases if isinstance(cases, list) else []:
            if isinstance(case, str) and case.isascii() and case.isdigit():
                (folder / name / f"{case}{one.ending}").unlink(missing_ok=True)
    write_json(folder / _LIST, {"cases": ids})

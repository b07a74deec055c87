"""What a verb leaves behind, as values that are equal for equal ends: times are left out."""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

TIMED_COLUMNS = {"seconds", "patches_per_second", "loader_wait_share"}
TIMED_FACTS = {"started", "seconds", "written"}
SINCE_START = {"movement", "gradients", "augmentation", "structure", "labels"}
"""Evidence that is relative to the start of the process: a resumed run measures it anew."""

End = dict[str, Any]
"""Path below the folder -> its content."""


def assert_same_end(one: End, other: End) -> None:
    """Compare what two runs of a verb left behind."""
    assert sorted(one) == sorted(other), (
        f"missing {sorted(set(one) - set(other))}, more {sorted(set(other) - set(one))}"
    )
    for name, content in one.items():
        assert _equal(content, other[name]), f"{name} differs"


def end_of(folder: Path) -> End:
    """Return the content of every file and the names of empty folders; leftovers not among them."""
    end: End = {}
    for path in sorted(folder.rglob("*")):
        name = _without_time(str(path.relative_to(folder)))
        if is_leftover(path.relative_to(folder)):
            continue
        if path.is_file():
            end[name] = _reader(path)(path)
        elif not any(path.iterdir()):
            end[name] = "empty folder"
    return end


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files and folders that lie below a folder, topmost names only."""
    names = [path.relative_to(folder) for path in folder.rglob("*") if is_leftover(path)]
    return sorted(str(name) for name in names if not is_leftover(name.parent))


def is_leftover(path: Path) -> bool:
    """Return whether a path is of a temporary file, or lies in a temporary folder."""
    return any(
        ".vesuv-" in part or part.startswith("vesuv-") or part == ".store.lock"
        for part in path.parts
    )


def digest(folder: Path, process: int | None) -> str:
    """Return a digest of names and contents; times and the process's number are left out."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder)).replace(f"vesuv-{process}", "vesuv-")
        content: Any = path.read_bytes() if path.is_file() else None
        if content is not None and not path.name.endswith((".pt", ".previous", ".partial")):
            with suppress(ValueError, KeyError, OSError, zipfile.BadZipFile):
                content = _reader(path)(path)
        state.update(repr((_without_time(name), content)).encode())
    return state.hexdigest()


def _without_time(name: str) -> str:
    return "tfevents" if "events.out.tfevents" in name else name


def _reader(path: Path) -> Callable[[Path], Any]:
    """How the content of a file is compared; byte by byte where nothing else is said."""
    by_name: dict[str, Callable[[Path], Any]] = {
        "metrics.csv": _metrics,
        "run.json": _facts,
        "provenance.json": _facts,
        "events.jsonl": _events,
        "evidence.jsonl": _observations,
        "train.log": _log,
        "report.html": lambda file: file.read_text().rstrip().endswith("</html>"),
        "submission.zip": _archive,
        "slices.npz": _arrays,
        "run.lock": lambda _file: None,
    }
    if "tfevents" in path.name:
        return lambda _file: None
    if path.name.endswith((".pt", ".pt.previous")):
        return lambda file: torch.load(file, weights_only=True)
    return by_name.get(path.name, Path.read_bytes)


def _facts(file: Path) -> dict[str, Any]:
    return _without(json.loads(file.read_text()), TIMED_FACTS)


def _metrics(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as table:
        return [_without(row, TIMED_COLUMNS) for row in csv.DictReader(table)]


def _events(file: Path) -> list[Any]:
    """All events but that the run was resumed."""
    events = [json.loads(line) for line in file.read_text().splitlines()]
    return [event for event in events if event["kind"] != "resume"]


def _observations(file: Path) -> list[Any]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [_without(line, TIMED_FACTS | SINCE_START) for line in lines]


def _log(file: Path) -> bool:
    """Whether the log speaks of a fault."""
    return any(word in file.read_text() for word in ("damaged", "cannot be read", "Traceback"))


def _archive(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _arrays(file: Path) -> dict[str, Any]:
    with np.load(file) as arrays:
        return {name: arrays[name].tolist() for name in arrays.files}


def _without(mapping: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in names}


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)

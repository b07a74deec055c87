"""The files that vesuv writes into a run's folder: only these are deleted, and never a link."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from vesuv.io.atomic import clear_leftovers
from vesuv.io.tables import read_json_or_none

TENSORBOARD_SUFFIX = ".vesuv"
"""Ending of our TensorBoard files; other programs write such files too."""
CACHE_KEY = "key.json"
"""File in each folder of cached probabilities: what they depend on."""
_FILES = (
    "config.yaml",
    "train.log",
    "metrics.csv",
    "events.jsonl",
    "evidence.jsonl",
    "diagnosis.json",
    "slices.npz",
    "picks.png",
    "reconstruction.png",
    "report.html",
    "selected.json",
    "instances.json",
    "run.json",
)
"""In the run's folder; run.json is deleted last, because it shows that the others are a run's."""
_PATTERNS = {
    ".": re.compile(rf"events\.out\.tfevents\..*{re.escape(TENSORBOARD_SUFFIX)}"),
    "checkpoints": re.compile(r"(best|last|swa|ema|epoch_\d{4,})\.pt(\.previous)?"),
    "distribution": re.compile(r"cases\.csv|summary\.json|(histogram|curves|calibration)\.png"),
}
_CACHES = Path("distribution") / "probabilities"
_CACHE_NAME = re.compile(r"(?P<checkpoint>.+)-[0-9a-f]{16}")


def is_own_run(run: Path) -> bool:
    """Return whether a folder's run.json is one that training wrote."""
    content = read_json_or_none(run / "run.json") or {}
    return content.get("version") == 1 and "vesuv" in content


def files_in_the_way(run: Path) -> list[Path]:
    """Return files and folders in `run` that have the names of a run's output."""
    folders = [run / name for name in ("checkpoints", "distribution")]
    return [
        *(path for path in (run / name for name in _FILES) if path.exists() or path.is_symlink()),
        *(path for path in folders if path.is_symlink() or path.is_file() or _entries(path)),
    ]


def places_of_output(run: Path) -> list[Path]:
    """Return the paths that output goes through, and that must not be links."""
    names = ("train.log", "metrics.csv", "events.jsonl", "evidence.jsonl", "checkpoints")
    return [*(run / name for name in names), run / "distribution", run / _CACHES]


def clear_temporary_files(run: Path) -> None:
    """Remove the temporary files of processes that were killed."""
    for folder in (run, run / "checkpoints", run / "distribution"):
        if not folder.is_symlink():
            clear_leftovers(folder)


def remove_run(run: Path) -> None:
    """Remove the files of a run; other files and their folders stay.

    Raises:
        OSError: A file cannot be removed.
    """
    for folder in _entries(run / _CACHES):
        if cache_checkpoint(folder) is not None:
            remove_cache(folder)
    for name in ("checkpoints", "distribution", "."):
        for file in _entries(run / name):
            if _PATTERNS[name].fullmatch(file.name) and file.is_file():
                file.unlink()
    for empty in (_CACHES, Path("checkpoints"), Path("distribution")):
        _remove_empty(run / empty)
    for name in _FILES:
        if (run / name).is_file() and not (run / name).is_symlink():
            (run / name).unlink()


def cache_checkpoint(folder: Path) -> str | None:
    """Return the checkpoint whose probabilities a folder holds; None: it holds something else."""
    match = _CACHE_NAME.fullmatch(folder.name)
    if match is None or folder.is_symlink():
        return None
    content = read_json_or_none(folder / CACHE_KEY) or {}
    name = content.get("checkpoint")
    return name if name == match["checkpoint"] and "checkpoint_sha256" in content else None


def remove_cache(folder: Path) -> None:
    """Remove the cached probabilities in a folder, and the folder when nothing else is in it."""
    for path in _entries(folder):
        if path.suffix == ".zarr" and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
    clear_leftovers(folder)
    if [path.name for path in _entries(folder)] == [CACHE_KEY]:
        (folder / CACHE_KEY).unlink()
        _remove_empty(folder)


def _entries(folder: Path) -> list[Path]:
    """Entries of a folder, links left out; none where the folder is a link or missing."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.is_symlink())


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()

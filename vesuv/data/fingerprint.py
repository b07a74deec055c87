"""What a store was made from, and whether a configuration still asks for the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vesuv.config import Config
from vesuv.data.layouts import CasePaths, scan_cases
from vesuv.data.records import Stamp
from vesuv.errors import InputError, InputErrors

Settings = dict[str, Any]
Sources = dict[str, Stamp]

_ROOT = "data.root"
_LISTS = ("train.csv", "dataset.json")
_REMEDY = "prepare again with --overwrite, or give this configuration its own data.store"


def settings_of(config: Config) -> Settings:
    """Return the settings that shape a store, dotted key -> JSON value."""
    data = config.data
    settings: Settings = {_ROOT: str(Path(data.root).resolve()), "data.layout": data.layout}
    if data.layout != "nnunet":
        settings |= {"data.images": data.images, "data.labels": data.labels}
    return settings | {
        "data.spacing": None if data.spacing is None else list(data.spacing),
        "labels.classes": {name: list(values) for name, values in config.labels.values()},
        "labels.ignore": config.labels.ignore,
    }


def sources_of(root: Path, cases: Iterable[CasePaths]) -> Sources:
    """Return file or folder below root -> its stamp, for all that is read."""
    files = [path for case in cases for path in (*case.images, case.label) if path is not None]
    files += [root / name for name in _LISTS if (root / name).is_file()]
    return {path.relative_to(root).as_posix(): stamp(path) for path in sorted(files)}


def stamp(path: Path) -> Stamp:
    """Return what tells that a file or folder has changed.

    Returns:
        Of a file: bytes, and time of last change in ns. Of a folder: the sum and the newest of
        these over all files in it, and a digest over name, bytes and time of each file.
    """
    if path.is_file():
        stat = path.stat()
        return [stat.st_size, stat.st_mtime_ns]
    stats = {
        file.relative_to(path).as_posix(): file.stat() for file in path.rglob("*") if file.is_file()
    }
    lines = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in sorted(stats.items())]
    digest = hashlib.sha256(json.dumps(lines).encode()).hexdigest()[:16]
    size = sum(stat.st_size for stat in stats.values())
    return [size, max((stat.st_mtime_ns for stat in stats.values()), default=0), digest]


def fingerprint(settings: Settings, sources: Sources) -> str:
    """Hash settings and sources; only the place of the data, data.root, is left out."""
    shaping = {key: value for key, value in settings.items() if key != _ROOT}
    text = json.dumps([shaping, sources], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_fits(store: Path, settings: Settings, sources: Sources, config: Config) -> None:
    """Refuse a store that was made from other settings or other data.

    Args:
        store: Its folder, for the message.
        settings: Settings it was made with.
        sources: Files it was made from.
        config: The present configuration.

    Raises:
        InputErrors: Each differing setting with both values, or the file that changed.
    """
    present = settings_of(config)
    faults = [
        f"{store}: was prepared with {key} {json.dumps(settings[key])}, the configuration says "
        f"{json.dumps(present[key])}; {_REMEDY}"
        for key in sorted((set(settings) & set(present)) - {_ROOT})
        if settings[key] != present[key]
    ]
    if faults:
        raise InputErrors(faults)
    root, has_moved = Path(config.data.root), settings[_ROOT] != present[_ROOT]
    if not root.is_dir() and not has_moved:
        return
    difference = _difference(sources, sources_of(root, scan_cases(config.data)[0]))
    if difference is None:
        return
    if has_moved:
        raise InputError(
            f"{store}: was prepared with {_ROOT} {settings[_ROOT]}, the configuration says "
            f"{present[_ROOT]}, and the files differ; {_REMEDY}"
        )
    raise InputError(f"{store}: {difference} since it was made; {_REMEDY}")


def _difference(before: Sources, now: Sources) -> str | None:
    """Name one raw file that differs and count the others; None where none does."""
    kinds = {
        "appeared": sorted(set(now) - set(before)),
        "vanished": sorted(set(before) - set(now)),
        "changed": sorted(
            name for name in before if name in now and not _equal(before[name], now[name])
        ),
    }
    kind, names = next(((kind, names) for kind, names in kinds.items() if names), ("", []))
    if not names:
        return None
    more = sum(map(len, kinds.values())) - 1
    return f"raw file {names[0]} {kind}" + (f" and {more} more differ" if more else "")


def _equal(before: Stamp, now: Stamp) -> bool:
    """Compare stamps; stores of a former version hold no digest of a folder's files."""
    return before == (now[:2] if len(before) == 2 else now)

"""What a store was made from, and whether a configuration still asks for the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vesuv.config import Config
from vesuv.data.layouts import RawCase, scan_cases
from vesuv.errors import InputError, InputErrors

Settings = dict[str, Any]
Sources = dict[str, list[int]]

_ROOT = "data.root"
_LISTS = ("train.csv", "dataset.json")


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


def sources_of(root: Path, cases: Iterable[RawCase]) -> Sources:
    """Return file below root -> [bytes, time of last change in ns] for all that is read."""
    files = [path for case in cases for path in (*case.images, case.label) if path is not None]
    files += [root / name for name in _LISTS if (root / name).is_file()]
    return {path.relative_to(root).as_posix(): stamp(path) for path in sorted(files)}


def fingerprint(settings: Settings, sources: Sources) -> str:
    """Hash settings and sources; where the data lie does not matter, what they are does."""
    shaping = {key: value for key, value in settings.items() if key != _ROOT}
    text = json.dumps([shaping, sources], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_fits(store: Path, made: Settings, sources: Sources, config: Config) -> None:
    """Refuse a store that was made from other settings or other data.

    Args:
        store: Its folder, for the message.
        made: Settings it was made with.
        sources: Files it was made from.
        config: What is asked for now.

    Raises:
        InputErrors: Each differing setting with both values, or the file that changed.
    """
    asked = settings_of(config)
    faults = [
        f"{store}: was prepared with {key} {json.dumps(made[key])}, the configuration says "
        f"{json.dumps(asked[key])}; {_REMEDY}"
        for key in sorted((set(made) & set(asked)) - {_ROOT})
        if made[key] != asked[key]
    ]
    if faults:
        raise InputErrors(faults)
    root, moved = Path(config.data.root), made[_ROOT] != asked[_ROOT]
    if not root.is_dir() and not moved:
        return
    present = sources_of(root, scan_cases(config.data)[0])
    if present == sources:
        return
    if moved:
        raise InputError(
            f"{store}: was prepared with {_ROOT} {made[_ROOT]}, the configuration says "
            f"{asked[_ROOT]}, and the files differ; {_REMEDY}"
        )
    raise InputError(f"{store}: {_difference(sources, present)} since it was made; {_REMEDY}")


_REMEDY = "prepare again with --overwrite, or give this configuration its own data.store"


def _difference(before: Sources, now: Sources) -> str:
    """Name one file and count the others."""
    kinds = {
        "appeared": sorted(set(now) - set(before)),
        "vanished": sorted(set(before) - set(now)),
        "changed": sorted(name for name in before if name in now and before[name] != now[name]),
    }
    kind, names = next((kind, names) for kind, names in kinds.items() if names)
    more = sum(map(len, kinds.values())) - 1
    return f"raw file {names[0]} {kind}" + (f" and {more} more differ" if more else "")


def stamp(path: Path) -> list[int]:
    """Return bytes and time of last change in ns of a file, or of all files of a folder."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    stats = [file.stat() for file in files]
    return [sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)]

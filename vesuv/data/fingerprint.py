"""Settings and source files of a store, and the check that a configuration matches them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vesuv.config import Config
from vesuv.data.case_paths import CasePaths
from vesuv.data.layouts import scan_cases
from vesuv.data.records import Stamp
from vesuv.errors import InputError, InputErrors

Settings = dict[str, Any]
Sources = dict[str, Stamp]

_ROOT_KEY = "data.root"
_CUBES_KEY = "data.cubes"
_LIST_FILES = ("train.csv", "dataset.json")
_REMEDY = "prepare again with --overwrite, or give this configuration its own data.store"


def settings_of(config: Config) -> Settings:
    """Return the settings that a store depends on, dotted key -> JSON value."""
    data = config.data
    settings: Settings = {_ROOT_KEY: str(Path(data.root).resolve()), "data.layout": data.layout}
    if data.layout != "nnunet":
        settings |= {"data.images": data.images, "data.labels": data.labels}
    return settings | {
        "data.parts": data.parts,
        "data.level": data.level,
        "data.spacing": None if data.spacing is None else list(data.spacing),
        "labels.classes": {name: list(values) for name, values in config.labels.values()},
        "labels.ignore": config.labels.ignore,
    }


def sources_of(root: Path, cases: Iterable[CasePaths]) -> Sources:
    """Return name of each file or folder that preparation reads -> stamp."""
    files = {root / name: name for name in _LIST_FILES if (root / name).is_file()}
    for case in cases:
        for path in (*case.images, case.label):
            if path is not None:
                files[path] = _source_name(path, root, case)
    return {files[path]: stamp(path) for path in sorted(files)}


def _source_name(path: Path, root: Path, case: CasePaths) -> str:
    """Return the name of a raw file, which does not change where the data are moved."""
    if case.cube is None:
        return path.relative_to(root).as_posix()
    return f"{_CUBES_KEY}/{path.relative_to(case.cube.folder.parent).as_posix()}"


def stamp(path: Path) -> Stamp:
    """Return numbers that differ after a change of a file or folder.

    Returns:
        Of a file: bytes and modification time in ns. Of a folder: sum of bytes and newest time over
        all its files, and a digest over name, bytes and time of each file.
    """
    if path.is_file():
        stat = path.stat()
        return [stat.st_size, stat.st_mtime_ns]
    stats = {
        file.relative_to(path).as_posix(): file.stat() for file in path.rglob("*") if file.is_file()
    }
    entries = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in sorted(stats.items())]
    digest = hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]
    size = sum(stat.st_size for stat in stats.values())
    return [size, max((stat.st_mtime_ns for stat in stats.values()), default=0), digest]


def fingerprint(settings: Settings, sources: Sources) -> str:
    """Hash settings and sources; data.root is left out, so that data may be moved."""
    store_settings = {key: value for key, value in settings.items() if key != _ROOT_KEY}
    text = json.dumps([store_settings, sources], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_fits(store: Path, settings: Settings, sources: Sources, config: Config) -> None:
    """Refuse a store that was made from other settings or other data.

    Args:
        store: Its folder, for the message.
        settings: Settings of the store.
        sources: Source files of the store.
        config: The current configuration.

    Raises:
        InputErrors: Each differing setting with both values, or the file that changed.
    """
    current = settings_of(config)
    faults = [
        f"{store}: was prepared with {key} {json.dumps(settings[key])}, the configuration says "
        f"{json.dumps(current[key])}; {_REMEDY}"
        for key in sorted((set(settings) & set(current)) - {_ROOT_KEY})
        if json.dumps(settings[key]) != json.dumps(current[key])  # the order of classes counts
    ]
    if faults:
        raise InputErrors(faults)
    root, has_moved = Path(config.data.root), settings[_ROOT_KEY] != current[_ROOT_KEY]
    if not root.is_dir() and not has_moved:
        return
    difference = _difference(sources, sources_of(root, scan_cases(config.data)[0]))
    if difference is None:
        return
    if has_moved:
        raise InputError(
            f"{store}: was prepared with {_ROOT_KEY} {settings[_ROOT_KEY]}, the configuration says "
            f"{current[_ROOT_KEY]}, and the files differ; {_REMEDY}"
        )
    raise InputError(f"{store}: {difference} since it was made; {_REMEDY}")


def _difference(old: Sources, new: Sources) -> str | None:
    """Name one raw file that differs and count the others; None without differences."""
    changes = {
        "appeared": sorted(set(new) - set(old)),
        "vanished": sorted(set(old) - set(new)),
        "changed": sorted(name for name in old if name in new and not _equal(old[name], new[name])),
    }
    kind, names = next(((kind, names) for kind, names in changes.items() if names), ("", []))
    if not names:
        return None
    num_others = sum(map(len, changes.values())) - 1
    return f"raw file {names[0]} {kind}" + (f" and {num_others} more differ" if num_others else "")


def _equal(old: Stamp, new: Stamp) -> bool:
    """Compare stamps; in stores of a former version a folder's stamp has no digest."""
    return old == (new[:2] if len(old) == 2 else new)

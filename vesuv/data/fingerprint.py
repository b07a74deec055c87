"""Settings and source files of a store, and the check that a configuration matches them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from vesuv.config import Config
from vesuv.data.case_paths import CasePaths
from vesuv.data.content_digests import FILE as DIGESTS
from vesuv.data.content_digests import DigestRecord, content_digest, files_in, read_digests
from vesuv.data.layouts import scan_cases
from vesuv.data.records import Stamp, write_record
from vesuv.errors import InputError, InputErrors
from vesuv.io.printable import number_of
from vesuv.types import Say, silent

Settings = dict[str, Any]
Sources = dict[str, Stamp]

_ROOT_KEY = "data.root"
_CUBES_KEY = "data.cubes"
_LIST_FILES = ("train.csv", "dataset.json")
_REMEDY = "prepare again with --overwrite, or give this configuration its own data.store"
_MAX_READERS = 4
"""Files whose contents are read in parallel."""


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


def source_paths(root: Path, cases: Iterable[CasePaths]) -> dict[str, Path]:
    """Return name of each file or folder that preparation reads -> path."""
    files = {root / name: name for name in _LIST_FILES if (root / name).is_file()}
    for case in cases:
        for path in (*case.images, case.label):
            if path is not None:
                files[path] = _source_name(path, root, case)
    return {files[path]: path for path in sorted(files)}


def sources_of(paths: Mapping[str, Path]) -> Sources:
    """Return name of each raw file or folder -> stamp."""
    return {name: stamp(path) for name, path in paths.items()}


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
    stats = {name: file.stat() for name, file in files_in(path).items()}
    entries = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()]
    digest = hashlib.sha256(json.dumps(entries).encode()).hexdigest()[:16]
    size = sum(stat.st_size for stat in stats.values())
    return [size, max((stat.st_mtime_ns for stat in stats.values()), default=0), digest]


def unchanged_digest(path: Path, expected: Stamp) -> str | None:
    """Return the digest of a content; None where it cannot be read, or changed meanwhile."""
    try:
        digest = content_digest(path)
        return digest if stamp(path) == expected else None
    except OSError:
        return None


def contents_of(sources: Sources, digests: Mapping[str, str]) -> Sources:
    """Return name of each source -> digest of its content; the stamps where one has no digest."""
    return (
        {name: [digests[name]] for name in sources} if sources.keys() <= set(digests) else sources
    )


def fingerprint(settings: Settings, sources: Sources) -> str:
    """Hash settings and sources; data.root is left out, so that data may be moved.

    The order of classes counts, as it is that of their indices.
    """
    store_settings = {key: settings[key] for key in sorted(settings) if key != _ROOT_KEY}
    text = json.dumps([store_settings, dict(sorted(sources.items()))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def same_settings(one: Settings, other: Settings) -> bool:
    """Return whether two stores have the same settings, with the classes in the same order."""
    first, second = (json.dumps(sorted(settings.items())) for settings in (one, other))
    return first == second


def check_fits(
    store: Path, settings: Settings, sources: Sources, config: Config, notes: Say = silent
) -> None:
    """Refuse a store that was made from other settings or other data.

    Args:
        store: Its folder.
        settings: Settings of the store.
        sources: Source files of the store.
        config: The current configuration.
        notes: Called with a sentence before contents are compared.

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
    paths = source_paths(root, scan_cases(config.data)[0])
    difference = _difference(sources, _current_sources(store, sources, paths, notes))
    if difference is None:
        return
    if has_moved:
        raise InputError(
            f"{store}: was prepared with {_ROOT_KEY} {settings[_ROOT_KEY]}, the configuration says "
            f"{current[_ROOT_KEY]}, and the files differ; {_REMEDY}"
        )
    raise InputError(f"{store}: {difference} since it was made; {_REMEDY}")


def _current_sources(store: Path, old: Sources, paths: Mapping[str, Path], notes: Say) -> Sources:
    """Return the stamps of raw files; the old one where the content alone is the same.

    Contents are read where sizes are equal, times differ, and no other file has changed.
    """
    new = sources_of(paths)
    common = [name for name in old if name in new and not _equal(old[name], new[name])]
    touched = [name for name in common if old[name][0] == new[name][0]]
    if not touched:
        return new
    record = read_digests(store)
    touched = [name for name in touched if name in record.digests]
    current = new | {name: old[name] for name in touched}
    unread = [name for name in touched if record.stamps.get(name) != new[name]]
    if not unread or _difference(old, current) is not None:
        return current
    num_bytes = sum(int(new[name][0]) for name in unread)
    notes(
        f"{store}: comparing the contents of {number_of(len(unread), 'raw file')} "
        f"({num_bytes / 1e9:.3f} GB), because their times differ"
    )
    with ThreadPoolExecutor(_MAX_READERS) as pool:
        digests = list(pool.map(lambda name: unchanged_digest(paths[name], new[name]), unread))
    pairs = zip(unread, digests, strict=True)
    changed = {name: new[name] for name, digest in pairs if digest != record.digests[name]}
    if not changed:
        _note_stamps(store, record, {name: new[name] for name in unread})
    return current | changed


def _note_stamps(store: Path, record: DigestRecord, stamps: Sources) -> None:
    """Let the next start compare stamps alone; a store that is read-only stays as it is."""
    with suppress(InputError):
        noted = record.model_copy(update={"stamps": record.stamps | stamps})
        write_record(store / DIGESTS, noted)


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

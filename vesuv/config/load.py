"""YAML files, `base:` inheritance and `--set` changes into one checked configuration."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from vesuv.config.keys import all_keys
from vesuv.config.root import Config
from vesuv.config.section import frozen
from vesuv.config.text import parse_yaml, read_text, refuse_endless
from vesuv.errors import InputError, InputErrors

Tree = dict[str, Any]
Origins = dict[tuple[str, ...], str]

_WHOLE = {("labels", "classes")}
"""Mappings that a file replaces rather than extends."""
_MOST_BASES = 20
"""Files that inherit from one another."""


def load_config(path: str | Path, changes: list[str] | tuple[str, ...] = ()) -> Config:
    """Read a configuration file with its bases, apply changes, check every key and value.

    Args:
        path: YAML file; `base:` inside it names the file it inherits from, relative to itself.
        changes: `section.key=value` strings, the value in YAML.

    Raises:
        InputError: Names file, key, rule, value found and the nearest valid name.
    """
    path = Path(path)
    tree, origins = _read_with_bases(path, (), "")
    tree.setdefault("name", path.stem)
    for change in changes:
        _apply_change(tree, origins, change)
    return check(tree, str(path), origins)


def as_config(config: Config | Mapping[str, Any] | str | Path) -> Config:
    """Return a configuration given as an object, as nested mappings, or as a YAML file's path.

    Raises:
        InputError: Names key, rule, value found and the nearest valid name.
    """
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return check(dict(config), "config")
    return load_config(config)


def check(tree: Tree, source: str, origins: Origins | None = None) -> Config:
    """Turn plain nested dictionaries into a `Config`, naming `source` in every fault."""
    refuse_endless(tree, source)
    try:
        return Config.model_validate(frozen(tree))
    except ValidationError as fault:
        faults = [_sentence(error, source, origins or {}) for error in _causes(fault.errors())]
        raise InputErrors(list(dict.fromkeys(faults))) from None


def dump_config(config: Config) -> str:
    """Return the resolved configuration as YAML that `load_config` reads back unchanged."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, default_flow_style=None)


def _read_with_bases(path: Path, seen: tuple[Path, ...], asked_by: str) -> tuple[Tree, Origins]:
    if len(seen) > _MOST_BASES or _same_file(path) in seen:
        raise InputError(
            f"{asked_by}{path}: base: files inherit from each other in a circle; break it"
        )
    tree = parse_yaml(read_text(path, asked_by), f"{asked_by}{path}")
    if not isinstance(tree, dict):
        raise InputError(
            f"{asked_by}{path}: a configuration is a mapping of sections, found {tree!r:.60}"
        )
    base = tree.pop("base", None)
    origins: Origins = {}
    if base is None:
        return _merge({}, tree, origins, str(path), ()), origins
    if not isinstance(base, str):
        raise InputError(f"{path}: base: must be a file name, found {base!r:.60}")
    below = (*seen, _same_file(path))
    inherited, origins = _read_with_bases(path.parent / base, below, f"{path}: base: ")
    inherited.pop("name", None)
    return _merge(inherited, tree, origins, str(path), ()), origins


def _same_file(path: Path) -> Path:
    """The path without links and dots, where the system can tell."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path


def _merge(base: Tree, over: Tree, origins: Origins, source: str, at: tuple[str, ...]) -> Tree:
    """Lay `over` on `base`; a mapping whose `name` changes replaces the inherited one whole."""
    renamed = bool(at) and "name" in over and base.get("name") != over["name"]
    merged = {} if renamed else dict(base)
    for key, value in over.items():
        below = (*at, key)
        origins[below] = source
        inherited = merged.get(key)
        if isinstance(value, dict):
            start = inherited if isinstance(inherited, dict) and below not in _WHOLE else {}
            merged[key] = _merge(start, value, origins, source, below)
        else:
            merged[key] = value
    return merged


def _apply_change(tree: Tree, origins: Origins, change: str) -> None:
    dotted, equals, text = change.partition("=")
    if not equals or not all(dotted.split(".")):
        raise InputError(f"--set {change}: write section.key=value, for example train.epochs=50")
    value = parse_yaml(text, f"--set {change}")
    keys = dotted.split(".")
    for index in range(len(keys)):
        origins[tuple(keys[: index + 1])] = f"--set {change}"
    node: Any = tree
    for key in keys[:-1]:
        node = _step_into(node, key, change)
    last = keys[-1]
    if isinstance(node, list):
        node[_position(node, last, change)] = value
    elif last == "name" and len(keys) > 1 and node.get("name") != value:
        node.clear()
        node["name"] = value
    else:
        node[last] = value


def _step_into(node: Any, key: str, change: str) -> Any:
    if isinstance(node, list):
        return node[_position(node, key, change)]
    if node.get(key) is None:
        node[key] = {}
    child = node[key]
    if not isinstance(child, (dict, list)):
        raise InputError(f"--set {change}: {key} is a value ({child!r}), not a section")
    return child


def _position(node: list[Any], key: str, change: str) -> int:
    if not key.isdigit() or int(key) >= len(node):
        raise InputError(f"--set {change}: {key} must be a position from 0 to {len(node) - 1}")
    return int(key)


def _causes(errors: list[Any]) -> list[Any]:
    """Leave out that a list is too short where that is only because its entries were refused."""
    places = [error["loc"] for error in errors]
    return [
        error
        for error in errors
        if error["type"] != "too_short"
        or not any(
            place[: len(error["loc"])] == error["loc"]
            for place in places
            if len(place) > len(error["loc"])
        )
    ]


def _sentence(error: Any, source: str, origins: Origins) -> str:
    """One fault as `file: key: rule, found value; hint`."""
    keys = [str(part) for part in error["loc"]]
    message = str(error["msg"]).removeprefix("Value error, ")
    unknown = re.match(r"unknown key '(.*?)'; (.*)", message)
    if unknown:
        keys.append(unknown[1])
        message = f"unknown key; {_hint(keys, unknown[2])}"
    elif error["type"] == "missing":
        message = "missing; this key has no default, give it a value"
    elif message.startswith("there is no ") and isinstance(error["input"], dict):
        keys.append("name")
    elif error["type"] != "value_error":
        message = f"{message.replace('valid tuple', 'list')}, found {_shown(error['input'])}"
    keys = [key for key in keys if key != "[key]"]
    place = ".".join(keys)
    return f"{_origin(keys, source, origins)}: {place + ': ' if place else ''}{message}"


def _shown(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _origin(keys: list[str], source: str, origins: Origins) -> str:
    for length in range(len(keys), 0, -1):
        if tuple(keys[:length]) in origins:
            return origins[tuple(keys[:length])]
    return source


def _hint(keys: list[str], local: str) -> str:
    """Prefer a key of the same name in another section over a merely similar one here."""
    here = ".".join(key for key in keys if not key.isdigit())
    names = all_keys(Config)
    elsewhere = [name for name in names if name.split(".")[-1] == keys[-1]]
    if here in elsewhere:
        section = here.rpartition(".")[0]
        return f"it belongs to another {section}.name than the one chosen; {local}"
    if not elsewhere and local.startswith("valid names"):
        leaves = {name.split(".")[-1]: name for name in reversed(names)}
        close = difflib.get_close_matches(keys[-1], leaves, n=1, cutoff=0.6)
        elsewhere = [leaves[leaf] for leaf in close]
    return f"nearest valid name: {elsewhere[0]}" if elsewhere else local

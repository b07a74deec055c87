"""Merge YAML files, their `base:` files and `--set` changes into one checked configuration."""

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
from vesuv.config.section import lists_to_tuples
from vesuv.config.text import check_tree_size, parse_yaml, read_text
from vesuv.errors import InputError, InputErrors

Tree = dict[str, Any]
Origins = dict[tuple[str, ...], str]

_LEAF_KEYS = {("labels", "classes")}
"""Mappings that a file replaces, where it extends all others."""
_MAX_BASES = 20
"""Length of a chain of `base:` files."""


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
    """Turn nested dictionaries into a `Config`; messages name `source`."""
    check_tree_size(tree, source)
    try:
        return Config.model_validate(lists_to_tuples(tree))
    except ValidationError as fault:
        faults = [_message(error, source, origins or {}) for error in _causes(fault.errors())]
        raise InputErrors(list(dict.fromkeys(faults))) from None


def dump_config(config: Config) -> str:
    """Return the resolved configuration as YAML that `load_config` reads back unchanged."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, default_flow_style=None)


def _read_with_bases(
    path: Path, inheriting_files: tuple[Path, ...], referrer: str
) -> tuple[Tree, Origins]:
    if len(inheriting_files) > _MAX_BASES or _resolve(path) in inheriting_files:
        raise InputError(
            f"{referrer}{path}: base: files inherit from each other in a circle; break it"
        )
    tree = parse_yaml(read_text(path, referrer), f"{referrer}{path}")
    if not isinstance(tree, dict):
        raise InputError(
            f"{referrer}{path}: a configuration is a mapping of sections, found {tree!r:.60}"
        )
    base = tree.pop("base", None)
    origins: Origins = {}
    if base is None:
        return _merge({}, tree, origins, str(path), ()), origins
    if not isinstance(base, str):
        raise InputError(f"{path}: base: must be a file name, found {base!r:.60}")
    chain = (*inheriting_files, _resolve(path))
    inherited, origins = _read_with_bases(path.parent / base, chain, f"{path}: base: ")
    inherited.pop("name", None)
    return _merge(inherited, tree, origins, str(path), ()), origins


def _resolve(path: Path) -> Path:
    """The path without links and dots; unchanged where the system cannot resolve it."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path


def _merge(base: Tree, over: Tree, origins: Origins, source: str, prefix: tuple[str, ...]) -> Tree:
    """Merge `over` into `base`; a mapping with another `name` replaces the inherited one."""
    replaces_base = bool(prefix) and "name" in over and base.get("name") != over["name"]
    merged = {} if replaces_base else dict(base)
    for key, value in over.items():
        key_path = (*prefix, key)
        origins[key_path] = source
        inherited = merged.get(key)
        if isinstance(value, dict):
            start = inherited if isinstance(inherited, dict) and key_path not in _LEAF_KEYS else {}
            merged[key] = _merge(start, value, origins, source, key_path)
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
    """Drop "list too short" errors that only follow from errors in the list's entries."""
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


def _message(error: Any, source: str, origins: Origins) -> str:
    """Format an error as `file: key: rule, found value; hint`."""
    keys = [str(part) for part in error["loc"]]
    text = str(error["msg"]).removeprefix("Value error, ")
    unknown = re.match(r"unknown key '(.*?)'; (.*)", text)
    if unknown:
        keys.append(unknown[1])
        text = f"unknown key; {_hint(keys, unknown[2])}"
    elif error["type"] == "missing":
        text = "missing; this key has no default, give it a value"
    elif text.startswith("there is no ") and isinstance(error["input"], dict):
        keys.append("name")
    elif error["type"] != "value_error":
        text = f"{text.replace('valid tuple', 'list')}, found {_abbreviate(error['input'])}"
    keys = [key for key in keys if key != "[key]"]
    place = ".".join(keys)
    return f"{_origin(keys, source, origins)}: {place + ': ' if place else ''}{text}"


def _abbreviate(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _origin(keys: list[str], source: str, origins: Origins) -> str:
    for length in range(len(keys), 0, -1):
        if tuple(keys[:length]) in origins:
            return origins[tuple(keys[:length])]
    return source


def _hint(keys: list[str], local: str) -> str:
    """Suggest an equal key of another section before a similar key of this section."""
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

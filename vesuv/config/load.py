"""Merge YAML files, their `base:` files and `--set` changes into one checked configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from vesuv.config.former_keys import rename_in_tree, renamed_change
from vesuv.config.nnunet import complete, is_dataset_id
from vesuv.config.root import Config
from vesuv.config.section import Section, lists_to_tuples
from vesuv.config.sentences import Origins, fault_sentences
from vesuv.config.shipped import config_path, is_shipped
from vesuv.config.text import check_tree_size, dump_yaml, parse_yaml, read_text
from vesuv.errors import InputError, InputErrors, command

Tree = dict[str, Any]
Kind = TypeVar("Kind", bound=Section)

LEAF_KEYS = {("labels", "classes"), ("labels", "regions")}
"""Mappings that a file replaces, where it extends all others."""
_PATH_KEYS = {"data": ("root", "store", "cubes"), "logs": ("root",)}
"""Section -> its keys that are paths, or lists of paths."""
_MAX_BASES = 20
"""Length of a chain of `base:` files."""


def load_config(
    path: str | Path, changes: Sequence[str] = (), *, paths_from: Path | None = None
) -> Config:
    """Read a configuration file with its bases, apply changes, check every key and value.

    In layout nnunet, labels that are left out are those of the data's dataset.json.

    Relative paths in a file (data.root, data.store, data.cubes) count from the file's folder; those
    in a shipped configuration and in `changes` count from the current folder.

    Args:
        path: YAML file, or the name of a shipped configuration: v9_progressive. `base:` inside it
            names the file it inherits from, relative to itself, or a shipped one by name.
        changes: `section.key=value` strings, the value in YAML.
        paths_from: Folder that relative paths in the files count from, in place of their own.

    Raises:
        InputError: Names file, key, rule, value found and the nearest valid name.
    """
    return load_with_origins(path, changes, paths_from=paths_from)[0]


def load_with_origins(
    path: str | Path, changes: Sequence[str] = (), *, paths_from: Path | None = None
) -> tuple[Config, Origins]:
    """Return a configuration as `load_config` does, and where each written value is from."""
    path = config_path(path)
    tree, origins = _read_changed(path, changes, paths_from)
    config = check(complete(tree, origins), str(path), origins)
    origins.setdefault(("model", "in_channels"), "default; it follows from the data")
    origins.setdefault(("model", "out_channels"), "follows from labels")
    return config, origins


def as_config(config: Config | Mapping[str, Any] | str | Path) -> Config:
    """Return a configuration given as an object, as nested mappings, or as a YAML file's path.

    Raises:
        InputError: Names key, rule, value found and the nearest valid name.
    """
    if isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        return check(complete(dict(config), {}), "config")
    return load_config(config)


def check(tree: Tree, source: str, origins: Origins | None = None) -> Config:
    """Turn nested dictionaries into a `Config`; messages name `source`."""
    if isinstance(tree, dict) and tree.get("task") == "curves":
        verbs = command("curves", "--help")
        raise InputError(f"{source}: is of curves in image logs (task: curves); see {verbs}")
    return check_sections(tree, Config, source, origins)


def is_of_curves(path: Path) -> bool:
    """Return whether a file, or a base of it, is of curves in image logs.

    Raises:
        InputError: A file cannot be read.
    """
    return _read_changed(path, ())[0].get("task") == "curves"


def read_sections(path: Path, kind: type[Kind], changes: Sequence[str] = ()) -> Kind:
    """Read a file with its bases and changes as a configuration of another kind than `Config`.

    Raises:
        InputError: Names file, key, rule, value found and the nearest valid name.
    """
    tree, origins = _read_changed(path, changes)
    return check_sections(tree, kind, str(path), origins)


def check_sections(
    tree: Tree, kind: type[Kind], source: str, origins: Origins | None = None
) -> Kind:
    """Turn nested dictionaries into a configuration of this kind; messages name `source`."""
    check_tree_size(tree, source)
    try:
        return kind.model_validate(lists_to_tuples(tree))
    except ValidationError as fault:
        raise InputErrors(fault_sentences(fault, kind, source, origins or {})) from None


def dump_config(config: Section) -> str:
    """Return the resolved configuration as YAML that `load_config` reads back unchanged."""
    return dump_yaml(config.model_dump(mode="json"), flow=None)


def _read_changed(
    path: Path, changes: Sequence[str], paths_from: Path | None = None
) -> tuple[Tree, Origins]:
    tree, origins = _read_with_bases(path, (), "", paths_from)
    tree.setdefault("name", path.stem)
    for change in changes:
        _apply_change(tree, origins, change)
    return tree, origins


def _read_with_bases(
    path: Path, inheriting_files: tuple[Path, ...], referrer: str, paths_from: Path | None
) -> tuple[Tree, Origins]:
    if len(inheriting_files) > _MAX_BASES or _resolve(path) in inheriting_files:
        raise InputError(
            f"{referrer}{path}: base: files inherit from each other in a circle; break it"
        )
    tree = read_tree(path, referrer, paths_from)
    base = tree.pop("base", None)
    origins: Origins = {}
    if base is None:
        return _merge({}, tree, origins, str(path), ()), origins
    if not isinstance(base, str):
        raise InputError(f"{path}: base: must be a file name, found {base!r:.60}")
    chain = (*inheriting_files, _resolve(path))
    base_file = config_path(base, path.parent)
    inherited, origins = _read_with_bases(base_file, chain, f"{path}: base: ", paths_from)
    inherited.pop("name", None)
    return _merge(inherited, tree, origins, str(path), ()), origins


def read_tree(path: Path, referrer: str = "", paths_from: Path | None = None) -> Tree:
    """Read one file without its bases; relative paths become relative to the current folder.

    Args:
        path: YAML file.
        referrer: Prefix of messages: the file and key that name `path`.
        paths_from: Folder that relative paths in the file count from, in place of its own.

    Raises:
        InputError: It cannot be read, or is no mapping.
    """
    tree = parse_yaml(read_text(path, referrer), f"{referrer}{path}")
    if not isinstance(tree, dict):
        found = "nothing in the file" if tree is None else f"{tree!r:.60}"
        raise InputError(
            f"{referrer}{path}: a configuration is a mapping of sections, found {found}; "
            f"{command('init')} writes one"
        )
    rename_in_tree(tree)
    if paths_from is None:
        paths_from = Path() if is_shipped(path) else path.parent
    for name, keys in _PATH_KEYS.items():
        section = tree.get(name)
        paths = section if isinstance(section, dict) else {}
        for key in keys:
            path_or_id = paths.get(key)
            if isinstance(path_or_id, str) and not _is_dataset_id(key, path_or_id, paths_from):
                paths[key] = os.path.normpath(paths_from / path_or_id)
            elif isinstance(path_or_id, list):
                paths[key] = [
                    os.path.normpath(paths_from / one) if isinstance(one, str) else one
                    for one in path_or_id
                ]
    return tree


def _is_dataset_id(key: str, value: str, paths_from: Path) -> bool:
    """Whether a value names a data set of nnU-Net, and no path from this folder."""
    return key == "root" and is_dataset_id(value) and not (paths_from / value).exists()


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
    if replaces_base:
        _forget(origins, prefix)
    for key, value in over.items():
        key_path = (*prefix, key)
        inherited = merged.get(key)
        is_replaced = not (isinstance(value, dict) and isinstance(inherited, dict))
        if is_replaced or key_path in LEAF_KEYS:
            _forget(origins, key_path)
        origins[key_path] = source
        if isinstance(value, dict):
            start = inherited if isinstance(inherited, dict) and key_path not in LEAF_KEYS else {}
            merged[key] = _merge(start, value, origins, source, key_path)
        else:
            merged[key] = value
    return merged


def _forget(origins: Origins, section: tuple[str, ...]) -> None:
    """Drop the origins of the keys below a section that is replaced as a whole."""
    for keys in [keys for keys in origins if keys[: len(section)] == section != keys]:
        del origins[keys]


def _apply_change(tree: Tree, origins: Origins, change: str) -> None:
    dotted, equals, text = renamed_change(change).partition("=")
    if not equals or not all(dotted.split(".")):
        raise InputError(f"--set {change}: write section.key=value, for example train.epochs=50")
    value = parse_yaml(text, f"--set {change}")
    keys = dotted.split(".")
    source = f"--set {change}"
    node: Any = tree
    for index, key in enumerate(keys[:-1], start=1):
        node = _step_into(node, key, change)
        section = tuple(keys[:index])
        is_changed_list = isinstance(node, list) and section in origins
        origins[section] = f"{origins[section]}, {source}" if is_changed_list else source
    last = keys[-1]
    _forget(origins, tuple(keys))
    if isinstance(node, list):
        node[_position(node, last, change)] = value
    elif last == "name" and len(keys) > 1 and node.get("name") != value:
        node.clear()
        node["name"] = value
        _forget(origins, tuple(keys[:-1]))
    else:
        node[last] = value
    origins[tuple(keys)] = source


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

"""Differences of a configuration from its base, from the defaults, and from another one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined, to_jsonable_python

from vesuv.config.load import Tree, load_config, read_tree
from vesuv.config.root import Config
from vesuv.config.section import Section
from vesuv.config.shipped import config_path
from vesuv.errors import InputError

_MISSING = object()


def base_differences(path: Path, config: Config) -> list[dict[str, Any]]:
    """Return the keys in which `config` differs from the file that its bases begin with.

    Args:
        path: The file that `config` was read from; one without `base:` is compared with the
            built-in defaults.
        config: The resolved configuration, with the changes of the command line.

    Returns:
        {"key": dotted key, "value": value in `config`, "base": value in the base}; "base" is left
        out where the base has no such key. Values are plain JSON types.

    Raises:
        InputError: A file of the chain cannot be read.
    """
    root = root_file(path)
    if root.resolve() == path.resolve():
        return default_differences(config)
    return _differing_keys(config, _merge(_defaults(config), _root_values(root)), "")


def default_differences(config: Config) -> list[dict[str, Any]]:
    """Return the keys in which `config` differs from the built-in defaults, as above.

    A section of another kind than the default one (scheduler: poly) is compared with the defaults
    of its own kind.
    """
    return _differing_keys(config, _defaults(config), "")


def config_differences(old: Config, new: Config) -> list[dict[str, Any]]:
    """Return the keys in which `new` differs from `old`, as above, with `old` as the base."""
    return _differing_keys(new, old.model_dump(mode="json"), "")


def flat_values(config: Section) -> Tree:
    """Return dotted key -> value as JSON types; a list is one value."""
    return flatten(config.model_dump(mode="json"))


def changed_keys(old: Section, new: Section) -> list[str]:
    """Return the dotted keys in which two configurations differ.

    A mapping whose keys have another order differs: the order of classes is that of their indices,
    and the order of regions that of the network's channels.
    """
    trees = old.model_dump(mode="json"), new.model_dump(mode="json")
    flat_old, flat_new = (flatten(tree) for tree in trees)
    changed = {
        key for key in flat_old.keys() | flat_new.keys() if flat_old.get(key) != flat_new.get(key)
    }
    return sorted(changed.union(_reordered_keys(*trees)))


def _reordered_keys(old: Tree, new: Tree, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of mappings that have the same keys in another order."""
    for key, value in new.items():
        old_value = old.get(key)
        if isinstance(value, dict) and isinstance(old_value, dict):
            if _is_reordered(old_value, value):
                yield f"{prefix}{key}"
            yield from _reordered_keys(old_value, value, f"{prefix}{key}.")


def _is_reordered(old: Any, new: Any) -> bool:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return False
    return old.keys() == new.keys() and list(old) != list(new)


def flatten(tree: Mapping[str, Any], prefix: str = "", leaves: Collection[str] = ()) -> Tree:
    """Return dotted key -> value of a tree; a list is one value, and so is an empty section.

    Args:
        tree: Nested mappings.
        prefix: What stands before each key.
        leaves: Dotted keys of mappings that are one value.
    """
    flat: Tree = {}
    for key, value in tree.items():
        dotted_key = f"{prefix}{key}"
        if isinstance(value, dict) and value and dotted_key not in leaves:
            flat |= flatten(value, f"{dotted_key}.", leaves)
        else:
            flat[dotted_key] = value
    return flat


def root_file(path: Path) -> Path:
    """Return the file that the chain of `base:` ends with; `path` itself without one."""
    chain: set[Path] = set()
    while path.resolve() not in chain:
        chain.add(path.resolve())
        base = read_tree(path).get("base")
        if not isinstance(base, str):
            return path
        path = config_path(base, path.parent)
    raise InputError(f"{path}: base: files inherit from each other in a circle; break it")


def _root_values(root: Path) -> Tree:
    """The root file's values, with defaults where the file alone is a valid configuration."""
    try:
        return load_config(root).model_dump(mode="json")
    except InputError:
        return read_tree(root)


def _defaults(section: Section, replaced_default: Any = None) -> Tree:
    """The default values of `section`'s class, with the `name` of the replaced default section."""
    tree: Tree = {}
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        default = field.get_default(call_default_factory=True)
        if isinstance(value, Section) and default is not None:
            tree[key] = _defaults(value, default)
        elif default is not PydanticUndefined:
            tree[key] = to_jsonable_python(default)
    if hasattr(replaced_default, "name"):
        tree["name"] = replaced_default.name
    return tree


def _merge(base: Tree, changes: Tree) -> Tree:
    merged = dict(base)
    for key, value in changes.items():
        base_value = merged.get(key)
        are_sections = isinstance(value, dict) and isinstance(base_value, dict)
        merged[key] = _merge(base_value, value) if are_sections else value  # type: ignore[arg-type]
    return merged


def _differing_keys(section: Section, base: Tree, prefix: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for key in type(section).model_fields:
        value, base_value = getattr(section, key), base.get(key, _MISSING)
        dotted_key = f"{prefix}{key}"
        if dotted_key == "name":
            continue
        if isinstance(value, Section) and isinstance(base_value, dict):
            rows += _differing_keys(value, base_value, f"{dotted_key}.")
            continue
        json_value = to_jsonable_python(value)
        if base_value is _MISSING:
            rows.append({"key": dotted_key, "value": json_value})
        elif json_value != base_value or _is_reordered(base_value, json_value):
            rows.append({"key": dotted_key, "value": json_value, "base": base_value})
    return rows

"""What a configuration changes: against its base, against the defaults, against another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined, to_jsonable_python

from vesuv.config.load import Tree, load_config
from vesuv.config.root import Config
from vesuv.config.section import Section
from vesuv.config.text import parse_yaml, read_text
from vesuv.errors import InputError

_NOTHING = object()


def base_differences(path: Path, config: Config) -> list[dict[str, Any]]:
    """Return the keys in which `config` differs from the file that its bases begin with.

    Args:
        path: The file that `config` was read from; one without `base:` is compared with the
            built-in defaults.
        config: The resolved configuration, with the changes of the command line.

    Returns:
        {"key": dotted, "value": here, "base": there}; "base" is left out where the base has no such
        key. Values are plain JSON types.

    Raises:
        InputError: A file of the chain cannot be read.
    """
    root = root_file(path)
    if root.resolve() == path.resolve():
        return default_differences(config)
    return _changed(config, _merged(_defaults(config), _values(root)), "")


def default_differences(config: Config) -> list[dict[str, Any]]:
    """Return the keys in which `config` differs from the built-in defaults, as above.

    A section of another kind than the default one (scheduler: poly) is compared with the defaults
    of its own kind.
    """
    return _changed(config, _defaults(config), "")


def changed_keys(old: Config, new: Config) -> list[str]:
    """Return the dotted keys in which two configurations differ."""
    flat_old, flat_new = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    return sorted(
        key for key in flat_old.keys() | flat_new.keys() if flat_old.get(key) != flat_new.get(key)
    )


def _flat(tree: Tree, prefix: str = "") -> Tree:
    flat: Tree = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def root_file(path: Path) -> Path:
    """Return the file that the chain of `base:` ends with; `path` itself without one."""
    seen: set[Path] = set()
    while path.resolve() not in seen:
        seen.add(path.resolve())
        base = _read(path).get("base")
        if not isinstance(base, str):
            return path
        path = path.parent / base
    raise InputError(f"{path}: base: files inherit from each other in a circle; break it")


def _values(root: Path) -> Tree:
    """The root's values, with its defaults where it is a configuration by itself."""
    try:
        return load_config(root).model_dump(mode="json")
    except InputError:
        return _read(root)


def _read(path: Path) -> Tree:
    tree = parse_yaml(read_text(path), str(path))
    if not isinstance(tree, dict):
        raise InputError(f"{path}: a configuration is a mapping of sections, found {tree!r:.60}")
    return tree


def _defaults(section: Section, instead_of: Any = None) -> Tree:
    """The defaults of `section`'s kind; `name` is that of the default that it stands in for."""
    tree: Tree = {}
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        default = field.get_default(call_default_factory=True)
        if isinstance(value, Section) and default is not None:
            tree[key] = _defaults(value, default)
        elif default is not PydanticUndefined:
            tree[key] = to_jsonable_python(default)
    if hasattr(instead_of, "name"):
        tree["name"] = instead_of.name
    return tree


def _merged(under: Tree, over: Tree) -> Tree:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(value, dict) and isinstance(below, dict)
        merged[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _changed(section: Section, base: Tree, at: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for key in type(section).model_fields:
        value, known = getattr(section, key), base.get(key, _NOTHING)
        place = f"{at}{key}"
        if place == "name":
            continue
        if isinstance(value, Section) and isinstance(known, dict):
            rows += _changed(value, known, f"{place}.")
            continue
        plain = to_jsonable_python(value)
        if known is _NOTHING:
            rows.append({"key": place, "value": plain})
        elif plain != known:
            rows.append({"key": place, "value": plain, "base": known})
    return rows

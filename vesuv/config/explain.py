"""Meaning, type, range and default of each key, and the shipped files that set it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vesuv.config.load import read_tree
from vesuv.config.schema import JsonSchema, config_schema, definition
from vesuv.config.shipped import shipped_files
from vesuv.errors import InputError

_NAMES = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "null": "null",
    "object": "mapping",
    "array": "list",
}
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
    "minItems": "entries: at least",
}


@dataclass(frozen=True)
class KeyMeaning:
    """One key of one section."""

    key: str
    """Dotted key."""
    owner: str
    """Kind of section that has the key (`name: adamw`); empty where all have it."""
    meaning: str
    kind: str
    """Type and range in words; empty for a section."""
    default: str
    """Default as JSON; empty for a section and where the key must be given."""
    keys: tuple[KeyMeaning, ...] = ()
    """Keys of a section."""


def explain(key: str) -> list[KeyMeaning]:
    """Return the meanings of a key: one for each kind of section that has it.

    Args:
        key: Dotted key of a value or of a section; positions in a list may be left out.

    Raises:
        InputError: There is no such key; names the nearest one.
    """
    schema = config_schema()
    nodes = [("", schema)]
    path = [part for part in key.split(".") if not part.isdigit()]
    for part in path:
        nodes = [found for _, node in nodes for found in _keys_below(schema, node, part)]
    if not nodes or not path:
        raise InputError(
            f"{key!r:.80}: no such key; {_nearest(key, list(_all_keys(schema, schema)))}"
        )
    return [_meaning(schema, ".".join(path), owner, node) for owner, node in nodes]


def shipped_values(key: str) -> dict[str, Any]:
    """Return name of a shipped configuration -> the value that its own file gives to a key."""
    values = {}
    for name, file in sorted(shipped_files().items()):
        node: Any = read_tree(file)
        for part in key.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        if node is not None:
            values[name] = node
    return values


def _sections(schema: JsonSchema, node: JsonSchema) -> list[JsonSchema]:
    """Return the sections that a value can be, also as an entry of a list."""
    node = definition(schema, node)
    if "properties" in node:
        return [node]
    parts = [*node.get("anyOf", ()), *([node["items"]] if "items" in node else [])]
    return [section for part in parts for section in _sections(schema, part)]


def _keys_below(schema: JsonSchema, node: JsonSchema, key: str) -> Iterator[tuple[str, JsonSchema]]:
    """Yield the kind of section and the key of each section that a value can be."""
    sections = [one["properties"] for one in _sections(schema, node) if key in one["properties"]]
    names = [properties.get("name", {}).get("const") for properties in sections]
    if key == "name" and names[:1] != [None]:
        selected = node.get("default")
        default = {"default": selected["name"]} if isinstance(selected, dict) else {}
        yield "", {"enum": names, "description": sections[0]["name"]["description"], **default}
        return
    for name, properties in zip(names, sections, strict=True):
        yield f"name: {name}" if name else "", properties[key]


def _meaning(schema: JsonSchema, key: str, owner: str, node: JsonSchema) -> KeyMeaning:
    sections = _sections(schema, node)
    names = dict.fromkeys(name for section in sections for name in section["properties"])
    keys = [
        _meaning(schema, f"{key}.{name}", owner_below, one)
        for name in names
        for owner_below, one in _keys_below(schema, node, name)
    ]
    meaning = " ".join(node.get("description", "").split())
    is_section = bool(keys)
    default = json.dumps(node["default"]) if "default" in node and not is_section else ""
    kind = "" if is_section else _kind(schema, node)
    return KeyMeaning(key, owner, meaning, kind, default, tuple(keys))


def _kind(schema: JsonSchema, node: JsonSchema) -> str:
    """Return type and range in words."""
    node = definition(schema, node)
    if "anyOf" in node:
        return " or ".join(_kind(schema, one) for one in node["anyOf"])
    if "const" in node or "enum" in node:
        return " or ".join(map(str, node.get("enum", [node.get("const")])))
    words = _NAMES[node["type"]]
    if "prefixItems" in node:
        entries = list(dict.fromkeys(_kind(schema, one) for one in node["prefixItems"]))
        return f"list of {len(node['prefixItems'])}: {'; '.join(entries)}"
    if node["type"] == "array":
        return f"list of: {_kind(schema, node['items'])}"
    bounds = [f"{word} {node[bound]:g}" for bound, word in _BOUNDS.items() if bound in node]
    return ", ".join([words, *bounds])


def _all_keys(schema: JsonSchema, node: JsonSchema, prefix: str = "") -> Iterator[str]:
    for section in _sections(schema, node):
        for key, below in section["properties"].items():
            yield f"{prefix}{key}"
            yield from _all_keys(schema, below, f"{prefix}{key}.")


def _nearest(key: str, names: list[str]) -> str:
    """Suggest equal keys of other sections before a similar one."""
    leaves: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        leaves.setdefault(name.split(".")[-1], []).append(name)
    last = key.split(".")[-1]
    if last in leaves:
        return f"nearest valid names: {', '.join(leaves[last][:3])}"
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.6) if "." in key else []
    close += [leaves[one][0] for one in difflib.get_close_matches(last, leaves, n=1, cutoff=0.5)]
    sections = [name for name in dict.fromkeys(names) if "." not in name]
    return f"nearest valid name: {close[0]}" if close else f"sections: {', '.join(sections)}"

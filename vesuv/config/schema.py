"""JSON schema of a configuration file, for editors that complete and check it."""

from __future__ import annotations

import functools
from typing import Any

from vesuv.config.root import Config

JsonSchema = dict[str, Any]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/"
_BASE = {
    "type": "string",
    "description": "File that this one inherits from, relative to it, or a shipped one by name.",
}


@functools.cache
def config_schema() -> JsonSchema:
    """Return the schema of a file, which may inherit keys, so that none of them is required.

    Sections inside a list (phases, steps) are not inherited and keep their required keys. Classes
    of installed packages are part of the schema. Every call returns the same object.
    """
    schema = _without_titles(Config.model_json_schema())
    definitions: dict[str, JsonSchema] = schema.pop("$defs")
    for name in _drop_required(schema):
        # Sections of sections have definitions of their own.
        _drop_all_required(definitions, name)
    schema["properties"] = {"base": _BASE, **schema["properties"]}
    return {"$schema": _DRAFT, **schema, "$defs": definitions}


def definition(schema: JsonSchema, node: JsonSchema) -> JsonSchema:
    """Return the definition that a node refers to; the node itself when it refers to none."""
    if "$ref" not in node:
        return node
    section: JsonSchema = schema["$defs"][node["$ref"].removeprefix(_REF)]
    return section


def _drop_all_required(definitions: dict[str, JsonSchema], name: str) -> None:
    for below in _drop_required(definitions[name]):
        _drop_all_required(definitions, below)


def _drop_required(node: Any) -> list[str]:
    """Drop `required` outside of lists; return the names of the definitions referred to there."""
    if isinstance(node, list):
        return [name for one in node for name in _drop_required(one)]
    if not isinstance(node, dict):
        return []
    if isinstance(node.get("required"), list):
        del node["required"]
    names = [node["$ref"].removeprefix(_REF)] if isinstance(node.get("$ref"), str) else []
    for key, below in node.items():
        names += _drop_required(below) if key not in ("items", "default") else []
    return names


def _without_titles(node: Any, is_properties: bool = False) -> Any:
    """Drop pydantic's titles, which repeat the keys."""
    if isinstance(node, list):
        return [_without_titles(one) for one in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_titles(below, is_properties=key in ("properties", "$defs"))
        for key, below in node.items()
        if is_properties or key != "title"
    }

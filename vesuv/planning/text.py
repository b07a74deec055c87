"""A proposal as a commented configuration in YAML."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping
from contextlib import suppress
from itertools import groupby
from typing import Any

from vesuv.config import check, parse_yaml
from vesuv.config.differences import flat_values
from vesuv.errors import InputError
from vesuv.planning.choices import Choice
from vesuv.planning.proposal import Proposal

_WIDTH = 100
_EQUAL = object()
"""Stands for a value that is equal to the default."""
_PLAIN = re.compile(r"[^\s,\[\]{}:#&*!|>'\"%@`]+")
"""Text that needs no quotes inside a list either, where YAML does not read it as another value."""


def proposal_text(proposal: Proposal, command: str) -> str:
    """Return the YAML file: only keys that differ from the defaults, each choice with its reason.

    Args:
        proposal: The proposal.
        command: Command that trains it, for the first lines.
    """
    lines = [
        "# Proposed by `vesuv init`; change what you know better.",
        f"#   {command}",
    ]
    defaults = _defaults(proposal)
    for section, choices in groupby(proposal.choices, key=lambda choice: choice.section):
        blocks = [_block(choice, defaults, section) for choice in choices]
        has_keys = any(not line.startswith("#") for block in blocks for line in block)
        if section == "phases":
            lines += [line for block in blocks for line in block]
        elif has_keys:
            lines += [f"{section}:", *(f"  {line}" for block in blocks for line in block)]
        else:
            lines += [line for block in blocks for line in block]
    return "\n".join(lines) + "\n"


def _defaults(proposal: Proposal) -> dict[str, Any]:
    """Flat default values of a configuration of the same kinds of sections."""
    tree = proposal.tree
    kinds = {
        section: {"name": values["name"]}
        for section, values in tree.items()
        if isinstance(values, dict) and "name" in values
    }
    minimal = {
        "name": proposal.config.name,
        "data": {"root": ""},
        "labels": tree["labels"],
        "phases": tree["phases"],
        **kinds,
    }
    return flat_values(check(minimal, "defaults"))


def _block(choice: Choice, defaults: Mapping[str, Any], section: str) -> list[str]:
    """The lines of one choice: a comment behind a single short line, else above."""
    is_needed = section in ("labels", "phases")
    keys = {
        key: value if is_needed or key.endswith(".name") else _differing(key, value, defaults)
        for key, value in choice.values.items()
    }
    keys = {key: value for key, value in keys.items() if value is not _EQUAL}
    entries = _entries(keys, section)
    is_named = any(entry.startswith(f"{choice.topic}: ") for entry in entries)
    comment = choice.reason if is_named else f"{choice.topic}: {choice.reason}"
    if len(entries) == 1 and len(entries[0]) + len(comment) + 6 <= _WIDTH:
        return [f"{entries[0]}  # {comment}"]
    wrapped = textwrap.wrap(comment, _WIDTH - 6, break_long_words=False, break_on_hyphens=False)
    return [*(f"# {line}" for line in wrapped), *entries]


def _differing(key: str, value: Any, defaults: Mapping[str, Any]) -> Any:
    """The value without the parts that are equal to the defaults; `_EQUAL`: all of it is.

    Names are kept: they tell of which kind a section is.
    """
    if not isinstance(value, dict):
        return _EQUAL if key in defaults and defaults[key] == value else value
    parts = {
        name: part if name == "name" else _differing(f"{key}.{name}", part, defaults)
        for name, part in value.items()
    }
    return {name: part for name, part in parts.items() if part is not _EQUAL} or _EQUAL


def _entries(keys: Mapping[str, Any], section: str) -> list[str]:
    entries = []
    for dotted, value in keys.items():
        if dotted == section and isinstance(value, dict):
            entries += [f"{key}: {_flow(one)}" for key, one in value.items()]
        elif dotted == section:
            entries += [f"{section}:", *(f"  - {_flow(one)}" for one in value)]
        else:
            entries.append(f"{dotted.removeprefix(f'{section}.')}: {_flow(value)}")
    return entries


def _flow(value: Any) -> str:
    """A value as YAML in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        if _PLAIN.fullmatch(value):
            with suppress(InputError):
                if parse_yaml(value, "value") == value:
                    return value
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value)

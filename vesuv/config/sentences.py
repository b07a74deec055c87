"""Faults of a configuration as sentences: `file: key: rule, found value; hint`."""

from __future__ import annotations

import difflib
import re
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vesuv.config.keys import all_keys

Origins = dict[tuple[str, ...], str]
"""Keys of a value -> the file, or the --set change, that it is from."""

_RULES = {
    "int_type": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping of keys",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt:.15g}",
    "greater_than_equal": "must be at least {ge:.15g}",
    "less_than": "must be below {lt:.15g}",
    "less_than_equal": "must be at most {le:.15g}",
    "multiple_of": "must be a multiple of {multiple_of:.15g}",
    "too_short": "must not have fewer than {min_length} entries",
    "too_long": "must not have more than {max_length} entries",
}
"""Type of an error of pydantic -> the rule in our words, filled with the error's context."""


def fault_sentences(
    fault: ValidationError, config: type[BaseModel], source: str, origins: Origins
) -> list[str]:
    """Return one sentence for each fault of a configuration.

    Args:
        fault: What pydantic raised.
        config: Class of the whole configuration, whose keys are suggested.
        source: Name of the configuration, where `origins` does not know a key.
        origins: File or change that each value is from.
    """
    errors = _causes(fault.errors())
    return list(dict.fromkeys(_sentence(error, config, source, origins) for error in errors))


def broken_rule(error: ErrorDetails) -> str:
    """Return the rule that a value breaks, and the value found, in our words."""
    kind = error["type"]
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    if kind == "missing":
        is_entry = bool(error["loc"]) and isinstance(error["loc"][-1], int)
        what = "the list is too short" if is_entry else "this key has no default"
        return f"missing; {what}, give it a value"
    # Only the section of another package can have a rule that is not in the table.
    rule = _RULES.get(kind, error["msg"]).format(**error.get("ctx", {}))
    return f"{rule}, found {_abbreviate(error['input'])}"


def _causes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
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


def _sentence(error: ErrorDetails, config: type[BaseModel], source: str, origins: Origins) -> str:
    keys = [str(part) for part in error["loc"] if part != "[key]"]
    text = broken_rule(error)
    unknown = re.match(r"unknown key '(.*?)'; (.*)", text)
    if unknown:
        keys.append(unknown[1])
        text = f"unknown key; {_hint(keys, unknown[2], config)}"
    elif text.startswith("there is no ") and isinstance(error["input"], dict):
        keys.append("name")
    place = ".".join(keys)
    return f"{origin_of(keys, origins) or source}: {place + ': ' if place else ''}{text}"


def _abbreviate(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def origin_of(keys: list[str], origins: Origins) -> str | None:
    """Return the origin of a value, or of the section around it."""
    for length in range(len(keys), 0, -1):
        if tuple(keys[:length]) in origins:
            return origins[tuple(keys[:length])]
    return None


def _hint(keys: list[str], local: str, config: type[BaseModel]) -> str:
    """Suggest an equal key of another section before a similar key of this section."""
    here = ".".join(key for key in keys if not key.isdigit())
    names = all_keys(config)
    elsewhere = [name for name in names if name.split(".")[-1] == keys[-1]]
    if here in elsewhere:
        section = here.rpartition(".")[0]
        return f"it belongs to another {section}.name than the one chosen; {local}"
    if not elsewhere and local.startswith("valid names"):
        leaves = {name.split(".")[-1]: name for name in reversed(names)}
        close = difflib.get_close_matches(keys[-1], leaves, n=1, cutoff=0.6)
        elsewhere = [leaves[leaf] for leaf in close]
    return f"nearest valid name: {elsewhere[0]}" if elsewhere else local

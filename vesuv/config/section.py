"""The base of every configuration section: frozen, strict, without unknown keys."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """A part of the configuration; defaults stand in its fields and nowhere else."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Let a key that a subclass declares anew keep its description."""
        undescribed = [key for key, field in cls.model_fields.items() if not field.description]
        for key in undescribed:
            cls.model_fields[key].description = _inherited_description(cls, key)
        if any(cls.model_fields[key].description for key in undescribed):
            cls.model_rebuild(force=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_keys(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for key in values:
            if key not in cls.model_fields:
                raise ValueError(f"unknown key {str(key)!r}; {nearest_key_hint(str(key), cls)}")
        return lists_to_tuples(values)


def summary(section: type[BaseModel]) -> str:
    """Return the first line of a section's docstring."""
    return (section.__doc__ or "").strip().partition("\n")[0]


def _inherited_description(section: type[BaseModel], key: str) -> str | None:
    fields = (getattr(base, "model_fields", {}).get(key) for base in section.__mro__[1:])
    return next((field.description for field in fields if field and field.description), None)


def nearest_key_hint(key: str, section: type[BaseModel]) -> str:
    """Return the hint that names the valid key closest to `key` within `section`."""
    names = list(section.model_fields)
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    if close:
        return f"nearest valid name: {close[0]}"
    return f"valid names: {', '.join(names)}"


def lists_to_tuples(value: Any) -> Any:
    """Replace lists by tuples, recursively: a frozen section holds no other sequence."""
    if isinstance(value, dict):
        return {key: lists_to_tuples(item) for key, item in value.items()}
    return tuple(lists_to_tuples(item) for item in value) if isinstance(value, list) else value

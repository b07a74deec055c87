"""Every key that a configuration may have."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vesuv.config.loss import ALL_LOSSES, losses_section
from vesuv.config.registry import Named


def all_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted keys below a section, of all kinds that `name` may choose among.

    Sections of other packages are left out.
    """
    keys: list[str] = []
    for key, field in section.model_fields.items():
        keys.append(prefix + key)
        for part in sections_of(field):
            keys += all_keys(part, f"{prefix}{key}.")
    return list(dict.fromkeys(keys))


def sections_of(field: FieldInfo) -> list[type[BaseModel]]:
    """Return the kinds of section that a field can hold."""
    return [*_in(field.annotation), *(s for part in field.metadata for s in _chosen_by(part))]


def _chosen_by(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, Named):
        return list(annotation.registry.own.values())
    return [losses_section(())] if annotation is ALL_LOSSES else []


def _in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    parts = getattr(annotation, "__args__", ())
    metadata = getattr(annotation, "__metadata__", ())
    found = [section for part in parts for section in _in(part)]
    return found + [section for part in metadata for section in _chosen_by(part)]

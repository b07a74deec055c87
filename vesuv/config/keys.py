"""Every key that a configuration may have."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vesuv.config.loss import ALL_LOSSES, losses_section
from vesuv.config.registry import RegistryField


def all_keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted keys below a section, of every class of ours that `name` can select.

    Classes of other packages are left out.
    """
    keys: list[str] = []
    for key, field in section.model_fields.items():
        keys.append(prefix + key)
        for subsection in sections_of(field):
            keys += all_keys(subsection, f"{prefix}{key}.")
    return list(dict.fromkeys(keys))


def sections_of(field: FieldInfo) -> list[type[BaseModel]]:
    """Return the classes of section that a field can hold."""
    return [
        *_sections_in_annotation(field.annotation),
        *(section for annotation in field.metadata for section in _registry_sections(annotation)),
    ]


def _registry_sections(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, RegistryField):
        return list(annotation.registry.own_classes.values())
    return [losses_section(())] if annotation is ALL_LOSSES else []


def _sections_in_annotation(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    parts = getattr(annotation, "__args__", ())
    metadata = getattr(annotation, "__metadata__", ())
    sections = [section for part in parts for section in _sections_in_annotation(part)]
    return sections + [section for part in metadata for section in _registry_sections(part)]

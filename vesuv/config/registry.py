"""Classes of sections by the name in the configuration: our own, and those of installed packages.

A loss, a network, a schedule and a post-processing step are each one class: a section of the
configuration that also does the work. A registry finds such a class by name: first in our own
table, which stands beside the classes, then among the entry points of installed packages under the
registry's group. An entry point is loaded when its name is first used.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from vesuv.config.section import Section
from vesuv.errors import InputError

Kind = TypeVar("Kind", bound=Section)


class Registry(Generic[Kind]):
    """Name -> class.

    Args:
        group: Entry-point group that other packages join, for example "vesuv.losses".
        table: Module and name of our own table, "vesuv.losses:LOSSES"; imported at first use,
            because its module imports the configuration.
        kind: Module and name of the base class that every entry must have.
        entry_name: Word for one entry in a message: "loss".
    """

    def __init__(self, group: str, table: str, kind: str, entry_name: str) -> None:
        self.group = group
        self.entry_name = entry_name
        self._table, self._kind = table, kind
        self._plugin_classes: dict[str, type[Kind]] = {}

    @cached_property
    def own_classes(self) -> Mapping[str, type[Kind]]:
        """Our own classes by name."""
        table: Mapping[str, type[Kind]] = _import_object(self._table)
        return table

    @cached_property
    def plugins(self) -> dict[str, EntryPoint]:
        """Entry points of installed packages by name, not loaded yet."""
        return {point.name: point for point in entry_points(group=self.group)}

    @property
    def names(self) -> list[str]:
        """All names, our own first."""
        return list(dict.fromkeys([*self.own_classes, *self.plugins]))

    def __contains__(self, name: object) -> bool:
        """Whether a name is registered; loads nothing."""
        return name in self.own_classes or name in self.plugins

    def __getitem__(self, name: str) -> type[Kind]:
        """Return the class of a name.

        Raises:
            KeyError: The name is not registered.
            InputError: The entry point of an installed package cannot be loaded.
        """
        if name in self.own_classes:
            return self.own_classes[name]
        if name not in self._plugin_classes:
            self._plugin_classes[name] = self._load(self.plugins[name])
        return self._plugin_classes[name]

    def nearest_name_hint(self, name: str) -> str:
        """Return the hint that names the valid name closest to `name`."""
        close = difflib.get_close_matches(name, self.names, n=1, cutoff=0.5)
        return f"nearest valid name: {close[0]}" if close else f"names: {', '.join(self.names)}"

    def _load(self, point: EntryPoint) -> type[Kind]:
        entry = load_entry_point(point)
        if not (isinstance(entry, type) and issubclass(entry, _import_object(self._kind))):
            base = self._kind.replace(":", ".")
            raise InputError(
                f"{_description(point)}: must be a subclass of {base}, found {entry!r:.80}"
            )
        return entry


def load_entry_point(point: EntryPoint) -> Any:
    """Import the object of an entry point.

    Raises:
        InputError: It cannot be imported.
    """
    try:
        return point.load()
    except Exception as fault:  # whatever the other package does wrong
        raise InputError(
            f"{_description(point)}: cannot be loaded ({type(fault).__name__}: {fault}); repair or "
            "remove the package"
        ) from fault


def _description(point: EntryPoint) -> str:
    package = f" of package {point.dist.name} {point.dist.version}" if point.dist else ""
    return f"entry point {point.group}: {point.name} = {point.value}{package}"


def _import_object(place: str) -> Any:
    """Import the object of a reference "module:name"."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class RegistryField(Generic[Kind]):
    """Annotation of a field that holds one section of a registry, selected by its key `name`.

    Args:
        registry: The registered classes.
        default: Name where the key is left out; None: the key is required.
        example: Example of such a section, for the message.
    """

    registry: Registry[Kind]
    default: str | None = None
    example: str = "{name: ...}"

    def __call__(self) -> Kind:
        """Return the default section with its default values."""
        assert self.default is not None
        return self.registry[self.default]()

    def validate(self, value: Any) -> Kind:
        """Turn a mapping into the section that it names; errors hold their position in it.

        Raises:
            ValueError: The value is no mapping with a name, or the name is unknown.
            ValidationError: A key or value of the section is wrong.
        """
        if isinstance(value, Section):
            return value  # type: ignore[return-value]
        name = value.get("name", self.default) if isinstance(value, dict) else None
        if not isinstance(name, str):
            raise ValueError(f"must be a mapping such as {self.example}, found {value!r:.60}")
        if name not in self.registry:
            raise ValueError(
                f"there is no {self.registry.entry_name} {name!r:.60}; "
                f"{self.registry.nearest_name_hint(name)}"
            )
        return self.registry[name].model_validate({"name": name, **value})

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic call `validate`."""
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Offer an editor the classes of this installation; `name` is needed in a list."""
        sections = [handler(self.registry[n].__pydantic_core_schema__) for n in self.registry.names]
        if self.default is not None:
            return {"anyOf": sections, "default": {"name": self.default}}
        named = [{**one, "required": ["name", *one.get("required", ())]} for one in sections]
        return {"anyOf": named}

"""Sections that a name in the configuration chooses: our own, and those of installed packages.

A loss, a network, a schedule and a post-processing step are each one class, a section of the
configuration that does its work itself. A registry finds such a class by name: first in a table of
ours, which the package that holds the classes keeps, then among the entry points that installed
packages offer under the registry's group. An entry point is loaded only when its name is used.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from vesuv.config.section import Section
from vesuv.errors import InputError

Kind = TypeVar("Kind", bound=Section)


class Registry(Generic[Kind]):
    """Name -> class.

    Args:
        group: Entry-point group that other packages join, for example "vesuv.losses".
        table: Module and name of our own table, "vesuv.losses:LOSSES"; imported at first use, since
            the classes stand above the configuration.
        kind: Module and name of the base class that every entry must have.
        what: What one entry is called in a message.
    """

    def __init__(self, group: str, table: str, kind: str, what: str) -> None:
        self.group = group
        self.what = what
        self._table, self._kind = table, kind
        self._loaded: dict[str, type[Kind]] = {}

    @cached_property
    def own(self) -> Mapping[str, type[Kind]]:
        """Our own classes by name."""
        table: Mapping[str, type[Kind]] = _object(self._table)
        return table

    @cached_property
    def offered(self) -> dict[str, EntryPoint]:
        """Entry points of installed packages by name, not loaded."""
        return {point.name: point for point in entry_points(group=self.group)}

    @property
    def names(self) -> list[str]:
        """Every name there is, our own first."""
        return list(dict.fromkeys([*self.own, *self.offered]))

    def __contains__(self, name: object) -> bool:
        """Whether a name stands for something, without loading it."""
        return name in self.own or name in self.offered

    def __getitem__(self, name: str) -> type[Kind]:
        """Return the class of a name.

        Raises:
            KeyError: There is none.
            InputError: An installed package offers it, but it cannot be loaded.
        """
        if name in self.own:
            return self.own[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(self.offered[name])
        return self._loaded[name]

    def nearest(self, name: str) -> str:
        """Return the hint that names the valid name closest to `name`."""
        close = difflib.get_close_matches(name, self.names, n=1, cutoff=0.5)
        return f"nearest valid name: {close[0]}" if close else f"names: {', '.join(self.names)}"

    def _load(self, point: EntryPoint) -> type[Kind]:
        found = load_entry_point(point)
        if not (isinstance(found, type) and issubclass(found, _object(self._kind))):
            base = self._kind.replace(":", ".")
            raise InputError(
                f"{_described(point)}: must be a subclass of {base}, found {found!r:.80}"
            )
        return found


def load_entry_point(point: EntryPoint) -> Any:
    """Return what an installed package offers.

    Raises:
        InputError: It cannot be imported.
    """
    try:
        return point.load()
    except Exception as fault:  # whatever the other package does wrong
        raise InputError(
            f"{_described(point)}: cannot be loaded ({type(fault).__name__}: {fault}); repair or "
            "remove the package"
        ) from fault


def _described(point: EntryPoint) -> str:
    package = f" of package {point.dist.name} {point.dist.version}" if point.dist else ""
    return f"entry point {point.group}: {point.name} = {point.value}{package}"


def _object(place: str) -> Any:
    """Import what "module:name" stands for."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class Named(Generic[Kind]):
    """Annotation of a field that holds one section of a registry, chosen by its key `name`.

    Args:
        registry: What there is to choose from.
        default: The section meant where `name` is left out; None: it must be there.
        example: Shown where something else than such a section is found.
    """

    registry: Registry[Kind]
    default: str | None = None
    example: str = "{name: ...}"

    def __call__(self) -> Kind:
        """Return the default section with its default values."""
        assert self.default is not None
        return self.registry[self.default]()

    def validate(self, value: Any) -> Kind:
        """Turn a mapping into the section that it names; faults keep their place in it.

        Raises:
            ValueError: Not such a mapping, or an unknown name.
            ValidationError: A key or value of the section is wrong.
        """
        if isinstance(value, Section):
            return value  # type: ignore[return-value]
        name = value.get("name", self.default) if isinstance(value, dict) else None
        if not isinstance(name, str):
            raise ValueError(f"must be a mapping such as {self.example}, found {value!r:.60}")
        if name not in self.registry:
            raise ValueError(
                f"there is no {self.registry.what} {name!r:.60}; {self.registry.nearest(name)}"
            )
        return self.registry[name].model_validate({"name": name, **value})

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic call `validate`."""
        return core_schema.no_info_plain_validator_function(self.validate)

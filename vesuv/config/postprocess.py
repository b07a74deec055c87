"""Post-processing of a prediction: a chain of steps.

```yaml
inference:
  postprocess:
    - {name: hysteresis, low: 0.3, high: 0.85}
    - {name: closing, radius: [1, 2, 2]}
    - {name: remove_small, voxels: 20000}
```

Steps work on the file's own grid, also where `data.spacing` resamples it. `voxels` and `radius` are
in voxels of that grid. `volume` and `distance` are in the unit of its spacing, so that they mean
the same in cases of different spacing.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)

from vesuv.config.registry import Registry, RegistryField
from vesuv.config.section import Section, lists_to_tuples
from vesuv.config.sentences import broken_rule
from vesuv.errors import InputError
from vesuv.types import Array, Mask, Shape, Spacing


class Step(Section, ABC):
    """Base of all steps: a section of the configuration that is called on a volume."""

    cuts: ClassVar[bool] = False
    """Whether the step turns probabilities into a mask; only the first step of a chain may."""
    is_global: ClassVar[bool] = False
    """Whether a voxel may depend on voxels at any distance. Such a step of another package gets the
    whole volume in memory, also where all else runs block by block."""
    suffixes: ClassVar[Mapping[str, str]] = {}
    """Key -> what follows its value in a description, such as " voxels" or " {unit}³"."""

    name: str
    """Step."""

    @classmethod
    def __pydantic_init_subclass__(cls, **settings: Any) -> None:
        """Refuse a step of another package that does not take the spacing."""
        super().__pydantic_init_subclass__(**settings)
        if len(inspect.signature(cls.__call__).parameters) != 3:
            raise TypeError(f"{cls.__name__}: __call__ must take (self, volume, spacing)")

    @abstractmethod
    def __call__(self, volume: Array, spacing: Spacing) -> Mask:
        """Return a mask of the same shape; the volume is not changed.

        Args:
            volume: A mask (z, y, x). For a step that cuts: probabilities (z, y, x) as floats, or
                as uint8 in units of 1/255.
            spacing: Voxel edges (z, y, x) of the volume.
        """

    def halo(self, _spacing: Spacing) -> Shape | None:
        """Return the distance (z, y, x) in voxels beyond which voxels do not affect a voxel.

        A large volume is processed in blocks, each grown by the halo and clipped to the volume, so
        the border of the volume is the border of the array that the step gets. None: undeclared;
        then `is_global` must be True, or the step cannot run block by block.

        Args:
            _spacing: Voxel edges (z, y, x) of the volume.
        """
        return None

    def describe(self, unit: str = "unit") -> str:
        """Return the step's name and its settings that differ from the defaults.

        Args:
            unit: Unit of the spacing, where it is known.
        """
        settings = [
            _value_text(value) + self.suffixes.get(key, "").format(unit=unit)
            for key, value in self.model_dump(exclude_defaults=True).items()
            if key != "name" and value is not None
        ]
        return " ".join([self.name.replace("_", " "), *settings])

    def __str__(self) -> str:
        return self.describe()

    @model_serializer(mode="wrap")
    def _without_unset_keys(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out keys that are None by default: a size has two keys, and one of them is set."""
        fields = type(self).model_fields
        return {
            key: value
            for key, value in serialize(self).items()
            if value is not None or fields[key].default is not None
        }


def _value_text(value: object) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


STEPS: Registry[Step] = Registry(
    "vesuv.postprocess",
    "vesuv.inference.postprocess:STEPS",
    "vesuv.config.postprocess:Step",
    "step",
)


def _only_first_step_cuts(chain: tuple[Step, ...]) -> tuple[Step, ...]:
    for position, step in enumerate(chain):
        if position > 0 and step.cuts:
            raise ValueError(
                f"{step.name} is step {position}, but only the first step may cut probabilities; "
                "move it there or leave it out"
            )
    return chain


Chain = Annotated[
    tuple[Annotated[Step, RegistryField(STEPS, example="{name: fill_cavities}")], ...],
    AfterValidator(_only_first_step_cuts),
]
"""Steps in their order. A chain that does not begin with threshold or hysteresis is preceded by the
selected threshold; an empty chain is that threshold alone."""

_CHAIN: TypeAdapter[tuple[Step, ...]] = TypeAdapter(Chain)


def read_chain(steps: Any, source: str) -> Chain:
    """Check a chain that was read from JSON.

    Args:
        steps: A list of mappings, each with a name.
        source: File and key, for the message.

    Raises:
        InputError: It is not such a list; names the step, the rule and the value found.
    """
    try:
        return _CHAIN.validate_python(lists_to_tuples(steps))
    except (ValidationError, RecursionError) as fault:
        raise InputError(f"{source}{_first_fault(fault)}") from None


def plain_chain(chain: Chain) -> list[dict[str, Any]]:
    """Return a chain as JSON types, which `read_chain` reads back unchanged."""
    return [step.model_dump(mode="json") for step in chain]


def begins_with_cut(chain: Sequence[Step]) -> bool:
    """Tell whether a chain turns probabilities into a mask itself."""
    return bool(chain) and chain[0].cuts


def with_threshold(chain: Chain, threshold: float) -> Chain:
    """Prepend a threshold to a chain that does not begin with a cut."""
    if begins_with_cut(chain):
        return chain
    cut = STEPS["threshold"].model_validate({"name": "threshold", "value": threshold})
    return (cut, *chain)


def _first_fault(fault: Exception) -> str:
    if not isinstance(fault, ValidationError):
        return ": nested too deeply for a list of steps"
    error = fault.errors()[0]
    place = "".join(f".{part}" for part in error["loc"])
    return f"{place}: {broken_rule(error)}"

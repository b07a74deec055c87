"""Post-processing of a prediction: a chain of steps.

```yaml
inference:
  postprocess:
    - {name: hysteresis, low: 0.3, high: 0.85}
    - {name: closing, radius: [1, 2, 2]}
    - {name: remove_small, voxels: 20000}
```

Sizes and radii are in voxels of the file's own grid, also where `data.spacing` resamples it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, TypeAdapter, ValidationError

from vesuv.config.registry import Registry, RegistryField
from vesuv.config.section import Section, lists_to_tuples
from vesuv.config.sentences import broken_rule
from vesuv.errors import InputError
from vesuv.types import Array, Mask


class Step(Section, ABC):
    """Base of all steps: a section of the configuration that is called on a volume."""

    cuts: ClassVar[bool] = False
    """Whether the step turns probabilities into a mask; only the first step of a chain may."""

    name: str
    """Step."""

    @abstractmethod
    def __call__(self, volume: Array) -> Mask:
        """Return a mask of the same shape; the volume is not changed.

        Args:
            volume: A mask (z, y, x). For a step that cuts: probabilities (z, y, x) as floats, or
                as uint8 in units of 1/255.
        """

    def __str__(self) -> str:
        """Return the step's name and its settings that differ from the defaults."""
        settings = [
            "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
            for key, value in self.model_dump(exclude_defaults=True).items()
            if key != "name"
        ]
        return " ".join([self.name.replace("_", " "), *settings])


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

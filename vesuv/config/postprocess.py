"""What is done to a prediction after the network: a chain of steps.

```yaml
inference:
  postprocess:
    - {name: hysteresis, low: 0.3, high: 0.85}
    - {name: closing, radius: [1, 2, 2]}
    - {name: remove_small, voxels: 20000}
```

Sizes and radii count voxels of the file's own grid, whatever spacing the network saw it at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, TypeAdapter, ValidationError

from vesuv.config.registry import Named, Registry
from vesuv.config.section import Section, frozen
from vesuv.errors import InputError
from vesuv.types import Array, Mask


class Step(Section, ABC):
    """Base of all steps: a section of the configuration that can be called on a volume."""

    cuts: ClassVar[bool] = False
    """Whether the step turns probabilities into a mask; such a step comes first in a chain."""

    name: str

    @abstractmethod
    def __call__(self, volume: Array) -> Mask:
        """Return a mask of the same shape; the volume is not changed.

        Args:
            volume: A mask (z, y, x). For a step that cuts: probabilities (z, y, x) as floats, or
                as uint8 that counts 255ths.
        """

    def __str__(self) -> str:
        """Return the step in a few words, with the settings that are not the default ones."""
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


def _one_cut(chain: tuple[Step, ...]) -> tuple[Step, ...]:
    for position, step in enumerate(chain):
        if position > 0 and step.cuts:
            raise ValueError(
                f"{step.name} is step {position}, but only the first step may cut probabilities; "
                "move it there or leave it out"
            )
    return chain


Chain = Annotated[
    tuple[Annotated[Step, Named(STEPS, example="{name: fill_cavities}")], ...],
    AfterValidator(_one_cut),
]
"""Steps in their order. Without threshold or hysteresis at its head the selected threshold comes
first; an empty chain is that threshold alone."""

_CHAIN: TypeAdapter[tuple[Step, ...]] = TypeAdapter(Chain)


def read_chain(steps: Any, source: str) -> Chain:
    """Check a chain that was read from JSON.

    Args:
        steps: A list of mappings, each with a name.
        source: File and key, for the fault.

    Raises:
        InputError: It is not such a list; names the step, the rule and the value found.
    """
    try:
        return _CHAIN.validate_python(frozen(steps))
    except (ValidationError, RecursionError) as fault:
        raise InputError(f"{source}{_first(fault)}") from None


def plain_chain(chain: Chain) -> list[dict[str, Any]]:
    """Return a chain as JSON types, which `read_chain` reads back unchanged."""
    return [step.model_dump(mode="json") for step in chain]


def begins_with_cut(chain: Sequence[Step]) -> bool:
    """Tell whether a chain turns probabilities into a mask itself."""
    return bool(chain) and chain[0].cuts


def with_threshold(chain: Chain, threshold: float) -> Chain:
    """Put a threshold first where a chain does not begin with a cut of its own."""
    if begins_with_cut(chain):
        return chain
    cut = STEPS["threshold"].model_validate({"name": "threshold", "value": threshold})
    return (cut, *chain)


def _first(fault: Exception) -> str:
    if not isinstance(fault, ValidationError):
        return ": nested too deeply for a list of steps"
    error = fault.errors()[0]
    place = "".join(f".{part}" for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "tuple_type":
        message = "must be a list"
    found = "" if error["type"] == "value_error" else f", found {error['input']!r:.60}"
    return f"{place}: {message}{found}"

"""Sections that say what is done to a prediction after the network: a chain of steps.

```yaml
inference:
  postprocess:
    - {name: hysteresis, low: 0.3, high: 0.85}
    - {name: closing, radius: [1, 2, 2]}
    - {name: remove_small, voxels: 20000}
```

Sizes count voxels of the volume that is written, whatever spacing the network saw it at.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from vesuv.config.data import Probability
from vesuv.config.section import Section, frozen
from vesuv.errors import InputError

Connectivity = Literal[6, 18, 26]
"""Which voxels are neighbours: those that share a face, an edge too, or a corner too."""

Voxels = Annotated[int, Field(ge=1, le=2**40)]
Radius = Annotated[int, Field(ge=0, le=50)]


class ThresholdStep(Section):
    name: Literal["threshold"]
    """Foreground where the probability reaches `value`; only as the first step."""
    value: Probability


class HysteresisStep(Section):
    name: Literal["hysteresis"]
    """Of the 26-connected components that reach `low` those that reach `high` somewhere; only as
    the first step."""
    low: Probability
    high: Probability

    @model_validator(mode="after")
    def _ordered(self) -> HysteresisStep:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, found {self.low} and {self.high}")
        return self


class RemoveSmallStep(Section):
    name: Literal["remove_small"]
    """Remove components of fewer than `voxels` voxels."""
    voxels: Voxels
    connectivity: Connectivity = 26


class FillCavitiesStep(Section):
    name: Literal["fill_cavities"]
    """Fill background that is enclosed: no path of shared faces leads to the volume's rim."""


class PlugHolesStep(Section):
    name: Literal["plug_holes"]
    """Fill holes of one voxel's width through a sheet, whichever way the sheet faces."""


class OpeningStep(Section):
    name: Literal["opening"]
    """Remove what a ball of this radius does not fit into."""
    radius: Annotated[Radius, Field(ge=1)] = 1


class ClosingStep(Section):
    name: Literal["closing"]
    """Fill what an ellipsoid with these half-axes does not fit into."""
    radius: tuple[Radius, Radius, Radius] = (1, 1, 1)
    """Half-axes (z, y, x); 0 closes nothing along that axis."""

    @model_validator(mode="after")
    def _some_extent(self) -> ClosingStep:
        if not any(self.radius):
            raise ValueError("radius needs at least one half-axis above 0, found [0, 0, 0]")
        return self


class DiagonalFillStep(Section):
    name: Literal["diagonal_fill"]
    """Join by faces what touches only at edges or corners."""


class KeepLargestStep(Section):
    name: Literal["keep_largest"]
    """Keep the largest components only."""
    num: Annotated[int, Field(ge=1, le=2**40)] = 1
    """How many."""
    connectivity: Connectivity = 26


_Steps = (
    ThresholdStep
    | HysteresisStep
    | RemoveSmallStep
    | FillCavitiesStep
    | PlugHolesStep
    | OpeningStep
    | ClosingStep
    | DiagonalFillStep
    | KeepLargestStep
)

STEP_NAMES = tuple(step.model_fields["name"].annotation.__args__[0] for step in _Steps.__args__)
"""Every step there is."""

CUTS = (ThresholdStep, HysteresisStep)
"""Steps that turn probabilities into a mask."""


def _named(value: Any) -> Any:
    """Refuse what is no step with a sentence that says what one looks like."""
    if isinstance(value, Section):
        return value
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str):
        raise ValueError(
            f"a step is a mapping such as {{name: fill_cavities}}, found {value!r:.60}"
        )
    if name not in STEP_NAMES:
        close = difflib.get_close_matches(name, STEP_NAMES, n=1, cutoff=0.5)
        hint = f"nearest valid name: {close[0]}" if close else f"names: {', '.join(STEP_NAMES)}"
        raise ValueError(f"there is no step {name!r:.60}; {hint}")
    return value


def _one_cut(chain: tuple[Step, ...]) -> tuple[Step, ...]:
    for position, step in enumerate(chain):
        if position > 0 and isinstance(step, CUTS):
            raise ValueError(
                f"{step.name} is step {position}, but only the first step may cut probabilities; "
                "move it there or leave it out"
            )
    return chain


Step = Annotated[_Steps, Field(discriminator="name"), BeforeValidator(_named)]

Chain = Annotated[tuple[Step, ...], AfterValidator(_one_cut)]
"""Steps in their order. Without threshold or hysteresis at its head the selected threshold comes
first; an empty chain is that threshold alone."""

_CHAIN: TypeAdapter[tuple[_Steps, ...]] = TypeAdapter(Chain)


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


def written(chain: Chain) -> list[dict[str, Any]]:
    """Return a chain as plain JSON types, which `read_chain` reads back unchanged."""
    return [step.model_dump(mode="json") for step in chain]


def begins_with_cut(chain: Sequence[_Steps]) -> bool:
    """Tell whether a chain turns probabilities into a mask itself."""
    return bool(chain) and isinstance(chain[0], CUTS)


def with_threshold(chain: Chain, threshold: float) -> Chain:
    """Put a threshold first where a chain does not begin with a cut of its own."""
    if begins_with_cut(chain):
        return chain
    return (ThresholdStep(name="threshold", value=threshold), *chain)


def _first(fault: Exception) -> str:
    if not isinstance(fault, ValidationError):
        return ": nested too deeply for a list of steps"
    error = fault.errors()[0]
    place = "".join(f".{part}" for part in error["loc"] if part not in STEP_NAMES)
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "tuple_type":
        message = "must be a list"
    found = "" if error["type"] == "value_error" else f", found {error['input']!r:.60}"
    return f"{place}: {message}{found}"

"""Sections of the objective: losses with their settings, and their weights by phase."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    create_model,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from vesuv.config.data import PositiveFloat
from vesuv.config.registry import Registry
from vesuv.config.section import Section, summary

LOSSES: Registry[Section] = Registry(
    "vesuv.losses", "vesuv.losses:LOSSES", "vesuv.losses.prediction:Loss", "loss"
)


class LossConfig(Section):
    """Settings of every loss by its name: `config.loss.dice.smooth`.

    A loss of another package has a field only where the configuration names it.
    """

    class_weights: tuple[PositiveFloat, ...] | None = None
    """Weight of each class, background first, in voxel-wise losses (cross_entropy, focal) without
    class weights of their own."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return the loss `name`."""

    def term(self, name: str) -> Any:
        """Return a loss, with the shared class weights where it has none of its own."""
        loss = getattr(self, name)
        if self.class_weights is None or getattr(loss, "class_weights", ...) is not None:
            return loss
        return loss.model_copy(update={"class_weights": self.class_weights})

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the values alone: another process creates the class again."""
        return read_losses, (self.model_dump(),)


class _AllLosses:
    """Annotation of the field `loss`: a `LossConfig` with a field for each registered loss."""

    def __call__(self) -> LossConfig:
        return losses_section(())()

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(read_losses)

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Offer an editor the losses of this installation."""
        return handler(losses_section(LOSSES.names).__pydantic_core_schema__)


ALL_LOSSES = _AllLosses()


def read_losses(value: Any) -> LossConfig:
    """Turn a mapping into the section `loss`.

    Raises:
        ValidationError: A key or value is wrong.
    """
    if isinstance(value, LossConfig):
        return value
    return losses_section(value if isinstance(value, dict) else ()).model_validate(value)


def losses_section(keys: Iterable[str]) -> type[LossConfig]:
    """Return the section class with a field for each of our losses and for each plugin in `keys`.

    Args:
        keys: Keys of the section as it is written; names of no loss are left out.
    """
    plugin_names = {
        name for name in keys if name not in LOSSES.own_classes and name in LOSSES.plugins
    }
    return _section(tuple(sorted(plugin_names)))


@cache
def _section(plugin_names: tuple[str, ...]) -> type[LossConfig]:
    classes = {name: LOSSES[name] for name in (*LOSSES.own_classes, *plugin_names)}
    fields: Any = {
        name: (kind, Field(default_factory=kind, description=summary(kind)))
        for name, kind in classes.items()
    }
    return create_model("LossConfig", __base__=LossConfig, **fields)


def _check_loss_name(name: str) -> str:
    if name not in LOSSES:
        raise ValueError(f"unknown loss; {LOSSES.nearest_name_hint(name)}")
    return name


def _name_losses(schema: dict[str, Any]) -> None:
    """Offer an editor the losses of this installation as keys."""
    weight = schema["additionalProperties"]
    weights = {name: {**weight, "description": f"Weight of {name}."} for name in LOSSES.names}
    schema |= {"properties": weights, "additionalProperties": False}


LossName = Annotated[str, AfterValidator(_check_loss_name)]


class Phase(Section):
    epochs: tuple[int, int | None]
    """First and last epoch, both included; null as the last: to the end of the run."""
    weights: dict[LossName, Annotated[float, Field(ge=0.0)]] = Field(json_schema_extra=_name_losses)
    """Loss -> weight; a loss that is left out has weight 0."""
    ramp: int = Field(default=0, ge=0)
    """Epochs over which the weights move linearly from the previous phase's; 0: at once."""

    @model_validator(mode="after")
    def _any_weight(self) -> Phase:
        if not any(self.weights.values()):
            raise ValueError("weights needs at least one loss with a weight above 0")
        names = [name for name, weight in self.weights.items() if weight]
        if all(getattr(LOSSES[name], "auxiliary", False) for name in names):
            raise ValueError(
                f"weights needs a loss of the mask beside {', '.join(names)}, which trains an "
                "output of its own; add one, such as dice"
            )
        return self


def with_named_losses(tree: dict[str, Any]) -> dict[str, Any]:
    """Add an empty section to `loss` for each plugin loss that a phase names."""
    phases, section = tree.get("phases"), tree.get("loss", {})
    if not isinstance(phases, (list, tuple)) or not isinstance(section, dict):
        return tree
    weights = [phase.get("weights") for phase in phases if isinstance(phase, dict)]
    phase_losses = {
        name
        for phase_weights in weights
        if isinstance(phase_weights, dict)
        for name in phase_weights
    }
    plugin_sections: dict[str, Any] = {
        name: {} for name in sorted(phase_losses & LOSSES.plugins.keys()) if name not in section
    }
    return {**tree, "loss": {**section, **plugin_sections}} if plugin_sections else tree

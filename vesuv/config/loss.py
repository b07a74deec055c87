"""Sections that say what is minimised: losses with their settings, and their weights by phase."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, create_model, model_validator
from pydantic_core import CoreSchema, core_schema

from vesuv.config.data import Positive
from vesuv.config.registry import Registry
from vesuv.config.section import Section

LOSSES: Registry[Section] = Registry(
    "vesuv.losses", "vesuv.losses:LOSSES", "vesuv.losses.prediction:Loss", "loss"
)


class LossConfig(Section):
    """Every loss with its settings, by its name: `config.loss.dice.smooth`.

    A loss of another package is here only where the configuration names it.
    """

    class_weights: tuple[Positive, ...] | None = None
    """Weight of each class, background first, in the voxel-wise losses (cross_entropy, focal) that
    have none of their own."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a loss."""

    def term(self, name: str) -> Any:
        """Return a loss, the shared class weights filled in where it has none of its own."""
        loss = getattr(self, name)
        if self.class_weights is None or getattr(loss, "class_weights", ...) is not None:
            return loss
        return loss.model_copy(update={"class_weights": self.class_weights})

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process make its own class of it: this one is made at run time."""
        return read_losses, (self.model_dump(),)


class _Losses:
    """Annotation of the field `loss`: a `LossConfig` with a field for each loss there is."""

    def __call__(self) -> LossConfig:
        return losses_section(())()

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(read_losses)


ALL_LOSSES = _Losses()


def read_losses(value: Any) -> LossConfig:
    """Turn a mapping into the section `loss`.

    Raises:
        ValidationError: A key or value is wrong.
    """
    if isinstance(value, LossConfig):
        return value
    return losses_section(value if isinstance(value, dict) else ()).model_validate(value)


def losses_section(named: Iterable[str]) -> type[LossConfig]:
    """Return the section with a field for each of our losses, and for each named one.

    Args:
        named: Keys of the section as it is written; those that are no loss are left out.
    """
    others = {name for name in named if name not in LOSSES.own and name in LOSSES.offered}
    return _section(tuple(sorted(others)))


@cache
def _section(others: tuple[str, ...]) -> type[LossConfig]:
    classes = {name: LOSSES[name] for name in (*LOSSES.own, *others)}
    fields: Any = {name: (kind, Field(default_factory=kind)) for name, kind in classes.items()}
    return create_model("LossConfig", __base__=LossConfig, **fields)


def _known_loss(name: str) -> str:
    if name not in LOSSES:
        raise ValueError(f"unknown loss; {LOSSES.nearest(name)}")
    return name


LossName = Annotated[str, AfterValidator(_known_loss)]


class Phase(Section):
    epochs: tuple[int, int | None]
    """First and last epoch, both included; null as the last: to the end of the run."""
    weights: dict[LossName, Annotated[float, Field(ge=0.0)]]
    """Loss -> weight; a loss that is not named has weight 0."""
    ramp: int = Field(default=0, ge=0)
    """Epochs over which the weights move linearly from the previous phase's; 0: at once."""

    @model_validator(mode="after")
    def _some_weight(self) -> Phase:
        if not any(self.weights.values()):
            raise ValueError("weights needs at least one loss with a weight above 0")
        return self


def with_named_losses(tree: dict[str, Any]) -> dict[str, Any]:
    """Give a configuration an empty section for each loss of another package that a phase names."""
    phases, section = tree.get("phases"), tree.get("loss", {})
    if not isinstance(phases, (list, tuple)) or not isinstance(section, dict):
        return tree
    weights = [phase.get("weights") for phase in phases if isinstance(phase, dict)]
    named = {name for part in weights if isinstance(part, dict) for name in part}
    others: dict[str, Any] = {
        name: {} for name in sorted(named) if name in LOSSES.offered and name not in section
    }
    return {**tree, "loss": {**section, **others}} if others else tree

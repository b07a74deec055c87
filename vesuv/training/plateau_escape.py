"""Plateau escape: rollback to the best weights with a higher learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vesuv.config.training import PlateauEscapeConfig


@dataclass(frozen=True)
class Escape:
    """Rollback to the best weights, with a factor on the learning rate."""

    number: int
    """Number of the escape in the run, from 1."""
    multiplier: float
    reason: str


@dataclass
class PlateauEscape:
    """Decides on escapes by 1 - measure, which does not depend on loss weights and phases.

    An escape is due after `patience` epochs without a new best, or after one validation whose
    1 - measure is more than `tolerance` above that of the best.
    """

    config: PlateauEscapeConfig
    validation_every: int = 1
    """Epochs from one validation to the next."""
    best: float | None = None
    epochs_without_best: int = 0
    num_escapes: int = 0

    def observe(self, measure: float) -> Escape | None:
        """Return the escape that is due after a validation, or None.

        Args:
            measure: Measure of the validation; higher is better.
        """
        if self.best is None or measure > self.best:
            self.best, self.epochs_without_best = measure, 0
            return None
        self.epochs_without_best += self.validation_every
        limit = (1.0 - self.best) * (1.0 + self.config.tolerance)
        if 1.0 - measure > limit:
            return self._escape(f"1 - measure {1 - measure:.4f} is above {limit:.4f}")
        if self.epochs_without_best >= self.config.patience:
            return self._escape(
                f"{self.epochs_without_best} epochs without more than {self.best:.4f}"
            )
        return None

    def _escape(self, reason: str) -> Escape:
        self.num_escapes += 1
        self.epochs_without_best = 0
        return Escape(self.num_escapes, multiplier(self.config.formula, self.num_escapes), reason)

    def state(self) -> dict[str, float | int | None]:
        """Return the state for a checkpoint."""
        return {
            "best": self.best,
            "worse": self.epochs_without_best,
            "escapes": self.num_escapes,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        self.best = state["best"]
        self.epochs_without_best = state["worse"]
        self.num_escapes = state["escapes"]


def multiplier(formula: str, number: int) -> float:
    """Return the factor on the learning rate at the `number`-th escape, counted from 1."""
    if formula == "conservative":
        return 1.0 + (number - 1) * 0.15
    return 1.5 + (number - 1) * 0.85

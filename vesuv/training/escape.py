"""Plateau escape: when to go back to the best weights, and how far the rate may then rise."""

from __future__ import annotations

from dataclasses import dataclass

from vesuv.config.training import PlateauEscapeConfig


@dataclass(frozen=True)
class Escape:
    """Go back to the best weights and multiply the learning rate."""

    number: int
    multiplier: float
    reason: str


@dataclass
class PlateauEscape:
    """Watches 1 - measure, which no loss weight or phase changes.

    `patience` epochs without a new best make an escape, and so does a single validation whose
    1 - measure lies more than `tolerance` above the best's.
    """

    config: PlateauEscapeConfig
    validation_every: int = 1
    """Epochs from one validation to the next."""
    best: float | None = None
    worse: int = 0
    """Epochs without a new best."""
    escapes: int = 0

    def observe(self, measure: float) -> Escape | None:
        """Return what to do after a validation that gave `measure` (higher is better)."""
        if self.best is None or measure > self.best:
            self.best, self.worse = measure, 0
            return None
        self.worse += self.validation_every
        limit = (1.0 - self.best) * (1.0 + self.config.tolerance)
        if 1.0 - measure > limit:
            return self._escape(f"1 - measure {1 - measure:.4f} is above {limit:.4f}")
        if self.worse >= self.config.patience:
            return self._escape(f"{self.worse} epochs without more than {self.best:.4f}")
        return None

    def _escape(self, reason: str) -> Escape:
        self.escapes += 1
        self.worse = 0
        return Escape(self.escapes, multiplier(self.config.formula, self.escapes), reason)

    def state(self) -> dict[str, float | int | None]:
        """Return plain state for a checkpoint."""
        return {"best": self.best, "worse": self.worse, "escapes": self.escapes}

    def restore(self, state: dict[str, float | int | None]) -> None:
        """Continue from `state()`."""
        for name in self.state():
            setattr(self, name, state[name])


def multiplier(formula: str, number: int) -> float:
    """Return the factor on the learning rate at the `number`-th escape, counted from 1."""
    if formula == "conservative":
        return 1.0 + (number - 1) * 0.15
    return 1.5 + (number - 1) * 0.85

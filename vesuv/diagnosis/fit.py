"""Dice on training and validation tiles, each at its best threshold."""

from __future__ import annotations

from dataclasses import dataclass

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.thresholds import best_threshold


@dataclass(frozen=True)
class Fit:
    """Dice on tiles of training and of validation cases at one validation."""

    epoch: int
    train: float
    validation: float

    @property
    def gap(self) -> float:
        """Dice of training tiles minus Dice of validation tiles."""
        return self.train - self.validation


def fit_history(evidence: Evidence) -> list[Fit]:
    """Return the fit at each validation; best thresholds remove the threshold's instability."""
    return [
        Fit(
            line.epoch,
            best_threshold(line.train.histogram).dice,
            best_threshold(line.histogram).dice,
        )
        for line in evidence.observations
        if line.train is not None and line.histogram is not None
    ]

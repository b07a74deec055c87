"""How well the network does on training cases, beside validation cases, at the best thresholds."""

from __future__ import annotations

from dataclasses import dataclass

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.thresholds import best_cut


@dataclass(frozen=True)
class Fit:
    """Dice at the threshold that suits each set of tiles best, at one validation."""

    epoch: int
    train: float
    validation: float

    @property
    def gap(self) -> float:
        """How much better the training cases are."""
        return self.train - self.validation


def fits(evidence: Evidence) -> list[Fit]:
    """Return what is known, by epoch; the best thresholds take their instability out of it."""
    return [
        Fit(line.epoch, best_cut(line.train.histogram).dice, best_cut(line.histogram).dice)
        for line in evidence.observations
        if line.train is not None and line.histogram is not None
    ]

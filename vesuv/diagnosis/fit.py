"""Dice on training and validation tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.thresholds import best_threshold

MAX_DICE = 0.6
"""Dice on training tiles from which a network fits."""
MAX_GAP = 0.1
"""Gap in Dice between training and validation tiles from which a network fits."""
NUM_VALIDATIONS = 5
"""Validations from which a run can be judged as under-fitted."""


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
    """Return the fit of two classes at each validation, at each one's best threshold.

    Best thresholds remove the threshold's instability. Empty with several classes.
    """
    if evidence.has_several_classes:
        return []
    return [
        Fit(
            line.epoch,
            best_threshold(line.train.histogram).dice,
            best_threshold(line.histogram).dice,
        )
        for line in evidence.observations
        if line.train is not None and line.histogram is not None
    ]


def class_fit_histories(evidence: Evidence) -> dict[str, list[Fit]]:
    """Return the fit at each validation by foreground class.

    Two classes have one history, at the best threshold; several have no threshold.
    """
    names = evidence.foreground_classes
    if not evidence.has_several_classes:
        return {names[0]: fit_history(evidence)}
    return {name: _class_fits(evidence, name) for name in names}


def is_under_fitted(history: Sequence[Fit]) -> bool:
    """Whether Dice is low on training and validation tiles alike, after enough validations."""
    if len(history) < NUM_VALIDATIONS:
        return False
    return history[-1].train < MAX_DICE and max(fit.gap for fit in history[-2:]) < MAX_GAP


def _class_fits(evidence: Evidence, name: str) -> list[Fit]:
    column = evidence.class_column("val/dice", name)
    fits = []
    for line in evidence.observations:
        validation = evidence.value_at(column, line.epoch)
        if line.train is not None and name in line.train.class_dice and validation is not None:
            fits.append(Fit(line.epoch, line.train.class_dice[name], validation))
    return fits

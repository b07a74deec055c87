"""A short run ends while it is learning, with another optimiser than Muon."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.findings import under_fitting
from vesuv.diagnosis.fit import NUM_VALIDATIONS, Fit, class_fit_histories
from vesuv.diagnosis.remedies import more_epochs
from vesuv.diagnosis.render import dice_of
from vesuv.diagnosis.short_run import MUON, has_ended, short_run_steps
from vesuv.runs.records import Finding

MIN_LATE_GAIN = 0.02
"""Dice of validation tiles gained in the second half of a run that was still learning."""
MAX_GAP_GROWTH = 0.02
"""Growth of the gap between training and validation tiles meanwhile, below which nothing was
learnt by heart."""


def find(evidence: Evidence) -> Finding | None:
    """Find a short run of another optimiser than Muon whose Dice rose on all tiles to the end.

    Not where Dice is so low that `under_fitting` reports it.
    """
    steps = short_run_steps(evidence)
    if steps is None or not has_ended(evidence) or under_fitting.find(evidence) is not None:
        return None
    for name, history in class_fit_histories(evidence).items():
        if len(history) < NUM_VALIDATIONS:
            continue
        middle, last = history[len(history) // 2], history[-1]
        gain = last.validation - middle.validation
        if gain >= MIN_LATE_GAIN and last.gap - middle.gap < MAX_GAP_GROWTH:
            return _finding(evidence, name, middle, last, steps)
    return None


def _finding(evidence: Evidence, name: str, middle: Fit, last: Fit, steps: int) -> Finding:
    optimizer = evidence.config.optimizer.name
    return Finding(
        name="slow_optimizer",
        title=f"The run ended while it was learning: {steps} steps are few for {optimizer}",
        evidence=(
            f"From epoch {middle.epoch} to {last.epoch} {dice_of(evidence, name)} rose from "
            f"{middle.validation:.3f} to {last.validation:.3f} on validation tiles and from "
            f"{middle.train:.3f} to {last.train:.3f} on tiles of training cases: nothing was "
            "learnt by heart, and the steps ended first."
        ),
        remedy=(f"{MUON}, or {more_epochs(evidence.config, 2 * evidence.config.train.epochs)}."),
        severity="warning",
        epochs=(middle.epoch, last.epoch),
        numbers={"train_dice": last.train, "validation_dice": last.validation, "steps": steps},
    )

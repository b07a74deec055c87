"""Short runs: Muon learns more in few steps than other optimisers."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence

MAX_STEPS = 5000
"""Optimiser steps of a short run. In 250 of them Muon reached the Dice of AdamW's 800."""
END_SHARE = 0.9
"""Share of the epochs from which a run has ended."""
MUON = "--set 'optimizer={name: muon}', whose steps are larger"


def short_run_steps(evidence: Evidence) -> int | None:
    """Return the steps of a short run that another optimiser than Muon trains; else None."""
    train = evidence.config.train
    if evidence.config.optimizer.name == "muon" or train.steps_per_epoch is None:
        return None
    steps = train.epochs * train.steps_per_epoch
    return steps if steps <= MAX_STEPS else None


def has_ended(evidence: Evidence) -> bool:
    """Return whether hardly an epoch is left."""
    return evidence.epoch + 1 >= END_SHARE * evidence.config.train.epochs

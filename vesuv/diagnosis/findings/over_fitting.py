"""The training cases are learnt by heart."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.fit import fits
from vesuv.diagnosis.render import epochs
from vesuv.runs.records import Finding

GAP = 0.12
"""Dice by which tiles of training cases are better than validation tiles."""
WIDENED = 0.05
"""Dice by which that gap has grown: tiles that are merely easier are so from the start."""
VALIDATIONS = 2
"""The gap is the mean of so many."""


def find(evidence: Evidence) -> Finding | None:
    """Find a wide and widening gap between training and validation tiles."""
    known = fits(evidence)
    recent = known[-VALIDATIONS:]
    if len(known) < VALIDATIONS + 2:
        return None
    gap = sum(fit.gap for fit in recent) / VALIDATIONS
    narrowest = min(known[:-VALIDATIONS], key=lambda fit: fit.gap)
    if gap < GAP or gap - narrowest.gap < WIDENED:
        return None
    last = recent[-1]
    best = max(known, key=lambda fit: fit.validation)
    num = len(evidence.facts.train_cases) if evidence.facts else 0
    return Finding(
        name="over_fitting",
        title="The network learns its training cases by heart",
        evidence=(
            f"In {epochs(recent[0].epoch, last.epoch)} Dice at the best threshold is "
            f"{last.train:.3f} on tiles of training cases and {last.validation:.3f} on validation "
            f"tiles; the gap was {narrowest.gap:.3f} at epoch {narrowest.epoch} and is {gap:.3f}. "
            f"Validation was best at epoch {best.epoch} ({best.validation:.3f})"
            + (f", with {num} training cases." if num else ".")
        ),
        remedy=(
            "More cases help most; then augmentation (augment.rotation.p, augment.scaling.p, "
            "augment.noise.p) and --set optimizer.weight_decay="
            f"{max(1e-3, 10 * evidence.config.optimizer.weight_decay):g}; best.pt keeps epoch "
            f"{best.epoch}, early_stopping.patience ends the run there."
        ),
        severity="trouble" if last.validation < best.validation - 0.02 else "warning",
        epochs=(narrowest.epoch, last.epoch),
        numbers={"train_dice": last.train, "validation_dice": last.validation, "gap": gap},
    )

"""The network fits its training cases and no longer improves on validation cases."""

from __future__ import annotations

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.fit import fit_history
from vesuv.diagnosis.render import epochs
from vesuv.runs.records import Finding

MIN_GAP = 0.12
"""Gap in Dice between training and validation tiles."""
MIN_WIDENING = 0.05
"""Growth of that gap: between tiles of unequal difficulty it is wide from the start."""
NUM_VALIDATIONS = 2
"""Latest validations over which the gap is averaged."""


def find(evidence: Evidence) -> Finding | None:
    """Find a wide and widening gap between training and validation tiles."""
    history = fit_history(evidence)
    recent = history[-NUM_VALIDATIONS:]
    if len(history) < NUM_VALIDATIONS + 2:
        return None
    gap = sum(fit.gap for fit in recent) / NUM_VALIDATIONS
    narrowest = min(history[:-NUM_VALIDATIONS], key=lambda fit: fit.gap)
    if gap < MIN_GAP or gap - narrowest.gap < MIN_WIDENING:
        return None
    last = recent[-1]
    best = max(history, key=lambda fit: fit.validation)
    num_train_cases = len(evidence.facts.train_cases) if evidence.facts else 0
    return Finding(
        name="over_fitting",
        title="The network learns its training cases by heart",
        evidence=(
            f"In {epochs(recent[0].epoch, last.epoch)} Dice at the best threshold is "
            f"{last.train:.3f} on tiles of training cases and {last.validation:.3f} on validation "
            f"tiles; the gap was {narrowest.gap:.3f} at epoch {narrowest.epoch} and is {gap:.3f}. "
            f"Validation was best at epoch {best.epoch} ({best.validation:.3f})"
            + (f", with {num_train_cases} training cases." if num_train_cases else ".")
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

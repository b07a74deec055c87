"""The network fits its training cases and no longer improves on validation cases."""

from __future__ import annotations

from collections.abc import Sequence

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.findings.harsh_augmentation import MIN_DAMAGE, damage
from vesuv.diagnosis.fit import Fit, class_fit_histories
from vesuv.diagnosis.render import dice_of, epochs, others_text
from vesuv.runs.records import Finding

MIN_GAP = 0.12
"""Gap in Dice between training and validation tiles."""
MIN_WIDENING = 0.05
"""Growth of that gap: between tiles of unequal difficulty it is wide from the start."""
NUM_VALIDATIONS = 2
"""Latest validations over which the gap is averaged."""
MAX_WEIGHT_DECAY = 0.1
"""Largest weight decay that is proposed; 150 stops a network from learning at all."""
_AUGMENTATIONS = ("rotation", "scaling", "noise")


def find(evidence: Evidence) -> Finding | None:
    """Find a wide and widening gap between training and validation tiles."""
    histories = {
        name: history
        for name, history in class_fit_histories(evidence).items()
        if _is_over_fitted(history)
    }
    if not histories:
        return None
    name = max(histories, key=lambda key: _gap(histories[key]))
    history = histories[name]
    recent, gap = history[-NUM_VALIDATIONS:], _gap(history)
    narrowest, last = _narrowest(history), recent[-1]
    best = max(history, key=lambda fit: fit.validation)
    num_train_cases = len(evidence.facts.train_cases) if evidence.facts else 0
    return Finding(
        name="over_fitting",
        title="The network learns its training cases by heart"
        if not evidence.has_several_classes
        else f"The network learns class {name!r} of its training cases by heart",
        evidence=(
            f"In {epochs(recent[0].epoch, last.epoch)} {dice_of(evidence, name)} is "
            f"{last.train:.3f} on tiles of training cases and {last.validation:.3f} on validation "
            f"tiles; the gap was {narrowest.gap:.3f} at epoch {narrowest.epoch} and is {gap:.3f}. "
            f"Validation was best at epoch {best.epoch} ({best.validation:.3f})"
            + (f", with {num_train_cases} training cases." if num_train_cases else ".")
            + others_text(len(histories) - 1)
        ),
        remedy=(
            f"More cases help most{_stronger_regularization(evidence)}; best.pt keeps epoch "
            f"{best.epoch}, early_stopping.patience ends the run there."
        ),
        severity="trouble" if last.validation < best.validation - 0.02 else "warning",
        epochs=(narrowest.epoch, last.epoch),
        numbers={"train_dice": last.train, "validation_dice": last.validation, "gap": gap},
    )


def _is_over_fitted(history: Sequence[Fit]) -> bool:
    if len(history) < NUM_VALIDATIONS + 2:
        return False
    return _gap(history) >= MIN_GAP and _gap(history) - _narrowest(history).gap >= MIN_WIDENING


def _gap(history: Sequence[Fit]) -> float:
    """Mean gap of the latest validations."""
    return sum(fit.gap for fit in history[-NUM_VALIDATIONS:]) / NUM_VALIDATIONS


def _narrowest(history: Sequence[Fit]) -> Fit:
    return min(history[:-NUM_VALIDATIONS], key=lambda fit: fit.gap)


def _stronger_regularization(evidence: Evidence) -> str:
    """Augmentation that leaves the structure whole, and weight decay."""
    augment, decay = evidence.config.augment, evidence.config.optimizer.weight_decay
    measured = next((line.augmentation for line in evidence.observations if line.augmentation), {})
    settings = []
    for name in _AUGMENTATIONS:
        p = getattr(augment, name).p
        higher_p = min(1.0, max(0.2, 2 * p))
        effect = measured.get(name)
        is_harmless = effect is None or damage(effect, higher_p) < MIN_DAMAGE
        if higher_p > p and is_harmless:
            settings.append(f"augment.{name}.p={higher_p:.2g}")
    if decay < MAX_WEIGHT_DECAY:
        higher_decay = min(MAX_WEIGHT_DECAY, max(1e-3, 10 * decay))
        settings.append(f"optimizer.weight_decay={higher_decay:g}")
    return f"; then --set {' '.join(settings)}" if settings else ""

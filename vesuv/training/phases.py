"""Loss weights as a function of the epoch."""

from __future__ import annotations

from collections.abc import Sequence

from vesuv.config.loss import Phase


def phase_at(phases: Sequence[Phase], epoch: int) -> int:
    """Return the index of the phase that holds `epoch`."""
    return max(i for i, phase in enumerate(phases) if phase.epochs[0] <= epoch)


def weights_at(phases: Sequence[Phase], epoch: int, terms: Sequence[str]) -> dict[str, float]:
    """Return the weight of each term in `epoch`.

    A phase with `ramp: n` changes linearly from the previous phase's weights and reaches its own at
    its n-th epoch (counted from 0); without a ramp it has its own weights from its first epoch on.
    """
    index = phase_at(phases, epoch)
    phase = phases[index]
    weights: dict[str, float] = {term: phase.weights.get(term, 0.0) for term in terms}
    epochs_into_phase = epoch - phase.epochs[0]
    if index == 0 or epochs_into_phase >= phase.ramp:
        return weights
    previous = weights_at(phases, phase.epochs[0] - 1, terms)
    share = (epochs_into_phase + 1) / (phase.ramp + 1)
    return {term: previous[term] + share * (weights[term] - previous[term]) for term in terms}

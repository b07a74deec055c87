"""A loss term stays at a value that carries no information."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.learning_rate import higher_rate
from vesuv.diagnosis.render import epochs
from vesuv.runs.records import Finding

MARGIN = 0.05
"""Distance from the ceiling, as a share of the range, that counts as at the ceiling."""
NUM_VALIDATIONS = 3
"""Latest validations in all of which the term is pinned."""


@dataclass(frozen=True)
class _PinnedTerm:
    term: str
    weight: float
    values: list[float]
    limit: float
    perfect: float
    at_floor: bool


def find(evidence: Evidence) -> Finding | None:
    """Find a weighted term at its ceiling, or below the value of a perfect mask.

    The ceiling is the value of a constant prediction where every constant has the same value. A
    term whose floor is the perfect mask may lie at its floor. A term below the value of a perfect
    mask pulls the prediction away from the mask.
    """
    validation_epochs = evidence.validation_epochs[-NUM_VALIDATIONS:]
    if len(validation_epochs) < NUM_VALIDATIONS:
        return None
    share = evidence.value_at("val/labelled_fraction", validation_epochs[-1]) or 0.0
    pinned_terms = [
        pinned
        for term in evidence.config.terms
        if (pinned := _pinned_term(evidence, term, validation_epochs, share)) is not None
    ]
    if not pinned_terms:
        return None
    worst = max(pinned_terms, key=lambda pinned: pinned.weight)
    first, last = validation_epochs[0], validation_epochs[-1]
    return Finding(
        name="pinned_loss_term",
        title=f"The {worst.term} term is pinned at its {'floor' if worst.at_floor else 'ceiling'}",
        evidence=_sentence(worst, first, last),
        remedy=_remedy(evidence, worst),
        severity="trouble" if worst.weight >= 0.1 else "warning",
        epochs=(first, last),
        numbers={
            "lowest": min(worst.values),
            "highest": max(worst.values),
            "limit": worst.limit,
            "perfect": worst.perfect,
            "weight": worst.weight,
        },
    )


def _pinned_term(
    evidence: Evidence, term: str, validation_epochs: list[int], share: float
) -> _PinnedTerm | None:
    weights = [evidence.weights(epoch).get(term, 0.0) for epoch in validation_epochs]
    values = [evidence.value_at(f"val/loss_{term}", epoch) for epoch in validation_epochs]
    finite_values = [value for value in values if value is not None]
    if not all(weights) or len(finite_values) < len(validation_epochs):
        return None
    loss = evidence.config.loss.term(term)
    floor, ceiling = loss.limits
    highest = min(ceiling, math.inf if loss.constant_score is None else loss.constant_score)
    perfect = loss.perfect_score(share)
    if perfect > floor and max(finite_values) < perfect:
        return _PinnedTerm(term, weights[-1], finite_values, floor, perfect, at_floor=True)
    if math.isfinite(highest) and min(finite_values) > highest - MARGIN * (highest - floor):
        return _PinnedTerm(term, weights[-1], finite_values, highest, perfect, at_floor=False)
    return None


def _sentence(pinned: _PinnedTerm, first: int, last: int) -> str:
    text = f"In {epochs(first, last)} it stayed between {min(pinned.values):.3f} and "
    text += f"{max(pinned.values):.3f} with weight {pinned.weight:g}"
    if pinned.at_floor:
        return (
            f"{text}. Its lowest attainable value is {pinned.limit:.3f}, yet a perfect mask of "
            f"these tiles scores {pinned.perfect:.3f}: each step it takes leads away from the "
            f"mask, and {pinned.weight * min(pinned.values):.3f} of the total loss is constant."
        )
    return (
        f"{text}, where {pinned.limit:g} is "
        "what a prediction without any information scores: the term is not being learnt."
    )


def _remedy(evidence: Evidence, pinned: _PinnedTerm) -> str:
    if pinned.term == "variance" and evidence.config.loss.variance.form == "original":
        return (
            "--set loss.variance.form=separation, whose floor of 0 is the perfect mask; or give "
            "variance weight 0 in phases."
        )
    others = [
        term for term in evidence.weights(evidence.validation_epochs[-1]) if term != pinned.term
    ]
    if not others:
        rate = higher_rate(evidence, 3)
        return (
            "It is the only term, so nothing is learnt: look at the other findings and at what the "
            f"patches show{'' if rate is None else f', and try --set optimizer.lr={rate:.2g}'}."
        )
    return (
        f"Begin without {pinned.term} and ramp it in when {' and '.join(others)} has fallen: a "
        "first phase without it, then 'ramp: 5' in the phase that brings it."
    )

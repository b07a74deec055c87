"""A loss term that has nowhere left to go."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vesuv.diagnosis.evidence import Evidence
from vesuv.diagnosis.render import epochs
from vesuv.runs.records import Finding

MARGIN = 0.05
"""Share of the way from floor to ceiling that counts as being at the ceiling."""
VALIDATIONS = 3
"""That many in a row."""


@dataclass(frozen=True)
class _Pinned:
    term: str
    weight: float
    values: list[float]
    limit: float
    perfect: float
    at_floor: bool


def find(evidence: Evidence) -> Finding | None:
    """Find a weighted term at its ceiling, or below what a perfect mask would score.

    The ceiling is the value of a constant prediction where every constant scores the same. A term
    whose floor is a perfect mask may lie at its floor: that is what it is for. One that scores less
    now than a perfect mask would pulls away from the mask.
    """
    validated = evidence.validated[-VALIDATIONS:]
    if len(validated) < VALIDATIONS:
        return None
    share = evidence.at("val/labelled_fraction", validated[-1]) or 0.0
    found = [
        pinned
        for term in evidence.config.terms
        if (pinned := _pinned(evidence, term, validated, share)) is not None
    ]
    if not found:
        return None
    worst = max(found, key=lambda pinned: pinned.weight)
    first, last = validated[0], validated[-1]
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


def _pinned(evidence: Evidence, term: str, validated: list[int], share: float) -> _Pinned | None:
    weights = [evidence.weights(epoch).get(term, 0.0) for epoch in validated]
    values = [evidence.at(f"val/loss_{term}", epoch) for epoch in validated]
    known = [value for value in values if value is not None]
    if not all(weights) or len(known) < len(validated):
        return None
    loss = evidence.config.loss.term(term)
    floor, ceiling = loss.limits
    top = min(ceiling, math.inf if loss.constant_score is None else loss.constant_score)
    perfect = loss.perfect_score(share)
    if perfect > floor and max(known) < perfect:
        return _Pinned(term, weights[-1], known, floor, perfect, at_floor=True)
    if math.isfinite(top) and min(known) > top - MARGIN * (top - floor):
        return _Pinned(term, weights[-1], known, top, perfect, at_floor=False)
    return None


def _sentence(pinned: _Pinned, first: int, last: int) -> str:
    moved = f"In {epochs(first, last)} it stayed between {min(pinned.values):.3f} and "
    moved += f"{max(pinned.values):.3f} with weight {pinned.weight:g}"
    if pinned.at_floor:
        return (
            f"{moved}. Its lowest attainable value is {pinned.limit:.3f}, yet a perfect mask of "
            f"these tiles scores {pinned.perfect:.3f}: each step it takes leads away from the "
            f"mask, and {pinned.weight * min(pinned.values):.3f} of the total loss is constant."
        )
    return (
        f"{moved}, where {pinned.limit:g} is "
        "what a prediction without any information scores: the term is not being learnt."
    )


def _remedy(evidence: Evidence, pinned: _Pinned) -> str:
    if pinned.term == "variance" and evidence.config.loss.variance.form == "original":
        return (
            "--set loss.variance.form=separation, whose floor of 0 is the perfect mask; or give "
            "variance weight 0 in phases."
        )
    others = [term for term in evidence.weights(evidence.validated[-1]) if term != pinned.term]
    if not others:
        return (
            "It is the only term, so nothing is learnt: look at the other findings, at what the "
            f"patches show, and try --set optimizer.lr={3 * evidence.config.optimizer.lr:.2g}."
        )
    return (
        f"Begin without {pinned.term} and ramp it in when {' and '.join(others)} has fallen: a "
        "first phase without it, then 'ramp: 5' in the phase that brings it."
    )

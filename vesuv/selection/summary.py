"""A search as the content of selected.json: choice, margin, scores by group, nested estimate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from vesuv.data.store import StoredCase
from vesuv.selection.candidate_scores import CandidateScores, Part
from vesuv.selection.choice import Choice
from vesuv.selection.search import NestedChoice, SearchResult

MEASURES = ("dice", "gap", "leaderboard")
"""Scores that are compared, where they were measured."""
_CANDIDATE_KEYS = ("checkpoint", "threshold", "postprocess")


def selection_summary(result: SearchResult) -> dict[str, Any]:
    """Return choice, margin and estimate in plain JSON types."""
    config = result.problem.config
    return {
        **result.chosen.plain(),
        "why": result.why,
        "objective": config.objective,
        "tolerance": config.tolerance,
        "band": config.band,
        "margin": margin(result),
        "groups": group_scores(result),
        "honest": nested_estimate(result.nested, result.problem.part_kind),
    }


def margin(result: SearchResult) -> dict[str, Any] | None:
    """Return the scores of the choice minus those of the next best; None with one candidate."""
    if len(result.ranking) < 2:
        return None
    second = result.ranking[1]
    return {
        "over": str(second),
        "within_tolerance": second.gap <= result.problem.config.tolerance,
        **score_difference(result.chosen, second),
    }


def group_scores(result: SearchResult) -> list[dict[str, Any]]:
    """Return the scores of the choice by group, with its margin over the next best of all cases."""
    best, *others = (result.scores_of(choice) for choice in result.ranking[:2])
    return scores_by_group(result.problem.cases, best, others[0] if others else None)


def nested_estimate(nested: Sequence[NestedChoice], part_kind: str) -> dict[str, Any] | None:
    """Return the mean scores over the parts that nested selection left out; None without parts.

    Args:
        nested: One choice for each part.
        part_kind: fold, group or case.
    """
    if not nested:
        return None
    total = sum(one.num_cases for one in nested)
    means = {}
    for measure in MEASURES:
        values = [(getattr(one.part_scores, measure), one.num_cases) for one in nested]
        if all(value is not None for value, _ in values):
            means[measure] = math.fsum(value * num for value, num in values) / total
    rounds = [
        {"left_out": one.part, "cases": one.num_cases, **one.part_scores.plain()} for one in nested
    ]
    return {"left_out": part_kind, **means, "rounds": rounds}


def scores_by_group(
    cases: Sequence[StoredCase], best: CandidateScores, second: CandidateScores | None
) -> list[dict[str, Any]]:
    """Return a candidate's scores by group, with its margin over a second; [] without groups."""
    rows = []
    for name, part in _group_parts(cases).items():
        scores = best.choice(part)
        if scores is not None:
            other = second.choice(part) if second else None
            difference = score_difference(scores, other) if other else None
            measured = {k: v for k, v in scores.plain().items() if k not in _CANDIDATE_KEYS}
            row = {"group": name, "cases": best.count(part), **measured, "margin": difference}
            rows.append(row)
    return rows


def nested_parts(
    cases: Sequence[StoredCase], folds: Sequence[Sequence[str]]
) -> tuple[str, dict[str, Part]]:
    """Divide cases into the parts that nested selection leaves out: folds, else groups, else cases.

    Args:
        cases: All cases.
        folds: Ids of the held-out cases of each fold.

    Returns:
        The kind of the parts, and the parts by name; no parts for a single case. Beside groups a
        case without one is a part of its own.
    """
    if len(folds) > 1:
        id_sets = [set(ids) for ids in folds]
        return "fold", {
            str(k): np.array([case.id in ids for case in cases]) for k, ids in enumerate(id_sets)
        }
    groups = _group_parts(cases)
    if len(groups) > 1:
        return "group", _case_parts(cases, [one for one in cases if one.group is None]) | groups
    return "case", _case_parts(cases, cases if len(cases) > 1 else ())


def score_difference(one: Choice, other: Choice) -> dict[str, float]:
    """Return the scores of one minus those of the other; a smaller gap is better."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in MEASURES}
    return {
        name: minuend - subtrahend
        for name, (minuend, subtrahend) in pairs.items()
        if minuend is not None and subtrahend is not None
    }


def _case_parts(cases: Sequence[StoredCase], chosen: Sequence[StoredCase]) -> dict[str, Part]:
    return {one.id: np.array([other is one for other in cases]) for one in chosen}


def _group_parts(cases: Sequence[StoredCase]) -> dict[str, Part]:
    groups = sorted({case.group for case in cases if case.group is not None})
    return {group: np.array([case.group == group for case in cases]) for group in groups}

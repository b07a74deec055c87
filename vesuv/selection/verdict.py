"""How sure a selection is: its margin over the next best, by group, and its honest worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vesuv.data.store import StoredCase
from vesuv.selection.candidate_scores import CandidateScores, Part
from vesuv.selection.choice import Choice
from vesuv.selection.search import NestedChoice, SearchProblem, SearchResult

MEASURES = ("dice", "gap", "leaderboard")
"""What is compared, where it was measured."""


@dataclass(frozen=True)
class Verdict:
    """A search, its result, and what the honest estimate left out in turn."""

    problem: SearchProblem
    result: SearchResult
    by: str
    """fold, group or case."""

    def plain(self) -> dict[str, Any]:
        """Return choice, margin and estimate in plain JSON types."""
        config = self.problem.config
        return {
            **self.result.chosen.plain(),
            "why": self.result.why,
            "objective": config.objective,
            "tolerance": config.tolerance,
            "band": config.band,
            "margin": self.margin(),
            "groups": self.groups(),
            "honest": self.honest(),
        }

    def margin(self) -> dict[str, Any] | None:
        """Chosen minus next best over all cases; None when there was no other candidate."""
        if len(self.result.ranking) < 2:
            return None
        second = self.result.ranking[1]
        return {
            "over": str(second),
            "within_tolerance": second.gap <= self.problem.config.tolerance,
            **difference(self.result.chosen, second),
        }

    def groups(self) -> list[dict[str, Any]]:
        """The choice, and its margin over the same next best, group by group."""
        best, *others = (self.result.scores_of(choice) for choice in self.result.ranking[:2])
        return by_group(self.problem.cases, best, others[0] if others else None)

    def honest(self) -> dict[str, Any] | None:
        """Mean scores over cases that the choice was made without; None with a single part."""
        return honest(self.result.nested, self.by)


def honest(nested: Sequence[NestedChoice], by: str) -> dict[str, Any] | None:
    """Return the mean scores over the parts that were left out; None where none was.

    Args:
        nested: One a part.
        by: What a part is: fold, group or case.
    """
    if not nested:
        return None
    total = sum(one.num_cases for one in nested)
    means = {}
    for measure in MEASURES:
        values = [(getattr(one.on_part, measure), one.num_cases) for one in nested]
        if all(value is not None for value, _ in values):
            means[measure] = math.fsum(value * num for value, num in values) / total
    rounds = [
        {"left_out": one.left_out, "cases": one.num_cases, **one.on_part.plain()} for one in nested
    ]
    return {"left_out": by, **means, "rounds": rounds}


def by_group(
    cases: Sequence[StoredCase], best: CandidateScores, other: CandidateScores | None
) -> list[dict[str, Any]]:
    """Return scores group by group, with the margin over another candidate; [] without groups."""
    rows = []
    for name, part in group_parts(cases).items():
        first = best.choice(part)
        if first is not None:
            second = other.choice(part) if other else None
            margin = difference(first, second) if second else None
            row = {"group": name, "cases": best.count(part), **_scores(first), "margin": margin}
            rows.append(row)
    return rows


def left_out(
    cases: Sequence[StoredCase], folds: Sequence[Sequence[str]]
) -> tuple[str, dict[str, Part]]:
    """Return what the honest estimate leaves out in turn: folds, else groups, else cases.

    Args:
        cases: All of them.
        folds: Ids of the cases that each fold holds out.

    Returns:
        Its name, and the parts by name; no parts where there is a single case.
    """
    if len(folds) > 1:
        held = [set(ids) for ids in folds]
        parts = {str(k): np.array([case.id in ids for case in cases]) for k, ids in enumerate(held)}
        return "fold", parts
    groups = group_parts(cases)
    if len(groups) > 1:
        return "group", groups
    if len(cases) < 2:
        return "case", {}
    return "case", {case.id: np.array([other is case for other in cases]) for case in cases}


def group_parts(cases: Sequence[StoredCase]) -> dict[str, Part]:
    """Return which cases are of each group; nothing where groups are not known."""
    groups = sorted({case.group for case in cases if case.group is not None})
    return {group: np.array([case.group == group for case in cases]) for group in groups}


def _scores(choice: Choice) -> dict[str, float]:
    """What was measured, without what was chosen."""
    return {key: v for key, v in choice.plain().items() if key not in _CANDIDATE}


_CANDIDATE = ("checkpoint", "threshold", "postprocess")


def difference(one: Choice, other: Choice) -> dict[str, float]:
    """One minus the other; a smaller gap is better, and a larger anything else."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in MEASURES}
    return {
        name: mine - theirs
        for name, (mine, theirs) in pairs.items()
        if mine is not None and theirs is not None
    }

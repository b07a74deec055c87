"""How sure a selection is: its margin over the next best, by group, and its honest worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vesuv.data.store import StoredCase
from vesuv.selection.choice import Choice
from vesuv.selection.measured import Cases, Measured
from vesuv.selection.search import Found, Problem, Round

MEASURES = ("dice", "gap", "leaderboard")
"""What is compared, where it was measured."""


@dataclass(frozen=True)
class Verdict:
    """A search, what it found, and what the honest estimate left out in turn."""

    problem: Problem
    found: Found
    by: str
    """fold, group or case."""

    def plain(self) -> dict[str, Any]:
        """Return choice, margin and estimate in plain JSON types."""
        config = self.problem.config
        return {
            **self.found.chosen.plain(),
            "why": self.found.why,
            "objective": config.objective,
            "tolerance": config.tolerance,
            "band": config.band,
            "margin": self.margin(),
            "groups": self.groups(),
            "honest": self.honest(),
        }

    def margin(self) -> dict[str, Any] | None:
        """Chosen minus next best over all cases; None when there was no other candidate."""
        if len(self.found.ranking) < 2:
            return None
        second = self.found.ranking[1]
        return {
            "over": str(second),
            "within_tolerance": second.gap <= self.problem.config.tolerance,
            **difference(self.found.chosen, second),
        }

    def groups(self) -> list[dict[str, Any]]:
        """The choice, and its margin over the same next best, group by group."""
        best, *others = (self.found.of(choice) for choice in self.found.ranking[:2])
        return by_group(self.problem.cases, best, others[0] if others else None)

    def honest(self) -> dict[str, Any] | None:
        """Mean scores over cases that the choice was made without; None with a single part."""
        return honest(self.found.rounds, self.by)


def honest(rounds: Sequence[Round], by: str) -> dict[str, Any] | None:
    """Return the mean scores over the parts that were left out; None where none was.

    Args:
        rounds: One a part.
        by: What a part is: fold, group or case.
    """
    if not rounds:
        return None
    total = sum(one.num_cases for one in rounds)
    means = {}
    for measure in MEASURES:
        values = [(getattr(one.choice, measure), one.num_cases) for one in rounds]
        if all(value is not None for value, _ in values):
            means[measure] = math.fsum(value * num for value, num in values) / total
    each = [
        {"left_out": one.left_out, "cases": one.num_cases, **one.choice.plain()} for one in rounds
    ]
    return {"left_out": by, **means, "rounds": each}


def by_group(
    cases: Sequence[StoredCase], best: Measured, other: Measured | None
) -> list[dict[str, Any]]:
    """Return scores group by group, with the margin over another candidate; [] without groups."""
    rows = []
    for name, part in group_parts(cases).items():
        there = best.choice(part)
        if there is not None:
            second = other.choice(part) if other else None
            margin = difference(there, second) if second else None
            row = {"group": name, "cases": best.count(part), **_scores(there), "margin": margin}
            rows.append(row)
    return rows


def left_out(
    cases: Sequence[StoredCase], folds: Sequence[Sequence[str]]
) -> tuple[str, dict[str, Cases]]:
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


def group_parts(cases: Sequence[StoredCase]) -> dict[str, Cases]:
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

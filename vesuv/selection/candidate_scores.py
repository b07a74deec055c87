"""What a candidate scores on each case, and over any part of the cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vesuv.evaluation.distribution import Curve
from vesuv.evaluation.overlap import Overlap, scores
from vesuv.selection.choice import Candidate, Choice

Part = NDArray[np.bool_]
"""Some of the cases: True for those, in the order of all."""


@dataclass(frozen=True)
class CaseScore:
    """One case's masks against its label."""

    overlap: Overlap
    judged: int
    """Voxels that are not ignored."""
    leaderboard: float | None = None


def case_score(matrix: Tensor, leaderboard: float | None = None) -> CaseScore:
    """Score a confusion matrix (C, C)."""
    return CaseScore(scores(matrix), int(matrix.sum()), leaderboard)


@dataclass(frozen=True)
class CandidateScores:
    """A candidate on all cases, in the cases' order."""

    candidate: Candidate
    cases: tuple[CaseScore, ...]

    def choice(self, part: Part | None = None) -> Choice | None:
        """Return the scores over a part of the cases; None when no voxel of it is judged."""
        judged = self._judged > 0
        chosen = judged if part is None else judged & part
        if not chosen.any():
            return None
        voxels = self._judged[chosen]
        predicted, labelled, dice = (column[chosen] for column in self._columns)
        boards = [case.leaderboard for case, take in zip(self.cases, chosen, strict=True) if take]
        measured = [value for value in boards if value is not None]
        return Choice(
            self.candidate.checkpoint,
            self.candidate.threshold,
            gap=float(np.abs(predicted - labelled).mean()),
            dice=float(dice.mean()),
            predicted_fraction=float((predicted * voxels).sum() / voxels.sum()),
            labelled_fraction=float((labelled * voxels).sum() / voxels.sum()),
            leaderboard=sum(measured) / len(measured) if measured else None,
            postprocess=self.candidate.postprocess,
        )

    def count(self, part: Part) -> int:
        """Return the number of cases of a part that hold a judged voxel."""
        return int(((self._judged > 0) & part).sum())

    @cached_property
    def _judged(self) -> NDArray[np.int64]:
        return np.array([case.judged for case in self.cases])

    @cached_property
    def _columns(self) -> NDArray[np.float64]:
        """Predicted fraction, labelled fraction and Dice, (3, cases)."""
        overlaps = [case.overlap for case in self.cases]
        rows = [(o.predicted_fraction, o.labelled_fraction, o.dice) for o in overlaps]
        return np.array(rows, dtype=np.float64).T


def from_curves(checkpoint: str, curves: Sequence[Curve]) -> list[CandidateScores]:
    """Return a candidate for each threshold of the curves of all cases."""
    by_case = [[case_score(matrix) for matrix in curve.matrices] for curve in curves]
    return [
        CandidateScores(Candidate(checkpoint, threshold), tuple(case[index] for case in by_case))
        for index, threshold in enumerate(curves[0].thresholds)
    ]


def choices(candidates: Sequence[CandidateScores], part: Part | None = None) -> list[Choice]:
    """Return the scores of each candidate over a part of the cases that holds a judged voxel."""
    scored = [one.choice(part) for one in candidates]
    return [choice for choice in scored if choice is not None]

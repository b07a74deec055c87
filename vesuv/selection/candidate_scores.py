"""Scores of a candidate on each case, and over any part of the cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vesuv.config.labels import Targets
from vesuv.evaluation.class_scores import Row, class_overlap
from vesuv.evaluation.distribution import Curve
from vesuv.evaluation.overlap import Overlap, scores
from vesuv.selection.choice import Candidate, Choice, ClassChoice

Part = NDArray[np.bool_]
"""A subset of the cases: True for its cases, in the order of all cases."""


@dataclass(frozen=True)
class CaseScore:
    """Scores of the mask of one case."""

    overlap: Overlap
    num_valid: int
    """Voxels that are not ignored."""
    leaderboard: float | None = None
    classes: tuple[Row, ...] = ()
    """Overlap of each of several classes or regions; empty for one."""


def case_score(matrix: Tensor, targets: Targets, leaderboard: float | None = None) -> CaseScore:
    """Score a confusion matrix (C, C)."""
    classes: tuple[Row, ...] = ()
    if targets.has_several:
        classes = tuple(class_overlap(matrix, members) for members in targets.members)
    return CaseScore(scores(matrix, targets.members), int(matrix.sum()), leaderboard, classes)


@dataclass(frozen=True)
class CandidateScores:
    """Scores of a candidate on all cases, in the order of the cases."""

    candidate: Candidate
    cases: tuple[CaseScore, ...]

    def choice(self, part: Part | None = None) -> Choice | None:
        """Return the scores over a part of the cases; None where the part has no valid voxel."""
        valid_cases = self._num_valid > 0
        used_cases = valid_cases if part is None else valid_cases & part
        if not used_cases.any():
            return None
        voxels = self._num_valid[used_cases]
        predicted, labelled, dice = (column[used_cases] for column in self._columns)
        by_class = self._class_choices(used_cases)
        gaps = [one.gap for one in by_class] or [float(np.abs(predicted - labelled).mean())]
        leaderboard = self._leaderboard(used_cases)
        return Choice(
            self.candidate.checkpoint,
            self.candidate.threshold,
            gap=max(gaps),
            dice=float(dice.mean()),
            predicted_fraction=float((predicted * voxels).sum() / voxels.sum()),
            labelled_fraction=float((labelled * voxels).sum() / voxels.sum()),
            leaderboard=sum(leaderboard) / len(leaderboard) if leaderboard else None,
            postprocess=self.candidate.postprocess,
            classes=self.candidate.classes,
            scores_by_class=by_class,
        )

    def _leaderboard(self, used_cases: Part) -> list[float]:
        if not self._has_leaderboard:
            return []
        return [
            case.leaderboard
            for case, is_used in zip(self.cases, used_cases, strict=True)
            if is_used and case.leaderboard is not None
        ]

    def count(self, part: Part) -> int:
        """Return the number of cases of a part that have a valid voxel."""
        return int(((self._num_valid > 0) & part).sum())

    def _class_choices(self, used_cases: Part) -> tuple[ClassChoice, ...]:
        """Return the scores of each of several classes over a part of the cases."""
        voxels = self._num_valid[used_cases]
        choices = []
        for (name, _), columns in zip(self.candidate.classes, self._class_columns, strict=True):
            predicted, labelled, dice = columns[:, used_cases]
            present = dice[~np.isnan(dice)]
            choices.append(
                ClassChoice(
                    name,
                    gap=float(np.abs(predicted - labelled).mean()),
                    dice=float(present.mean()) if len(present) else None,
                    predicted_fraction=float((predicted * voxels).sum() / voxels.sum()),
                    labelled_fraction=float((labelled * voxels).sum() / voxels.sum()),
                )
            )
        return tuple(choices)

    @cached_property
    def _num_valid(self) -> NDArray[np.int64]:
        return np.array([case.num_valid for case in self.cases])

    @cached_property
    def _has_leaderboard(self) -> bool:
        return any(case.leaderboard is not None for case in self.cases)

    @cached_property
    def _class_columns(self) -> list[NDArray[np.float64]]:
        """Predicted fraction, labelled fraction and Dice of each class, (3, cases)."""
        names = ("predicted_fraction", "labelled_fraction", "dice")
        return [
            np.array([[case.classes[index][name] for case in self.cases] for name in names])
            for index in range(len(self.candidate.classes))
        ]

    @cached_property
    def _columns(self) -> NDArray[np.float64]:
        """Predicted fraction, labelled fraction and Dice, (3, cases)."""
        overlaps = [case.overlap for case in self.cases]
        rows = [(o.predicted_fraction, o.labelled_fraction, o.dice) for o in overlaps]
        return np.array(rows, dtype=np.float64).T


def scores_at_thresholds(
    checkpoint: str, curves: Sequence[Curve], targets: Targets
) -> list[CandidateScores]:
    """Return the scores of a checkpoint at each threshold of its cases' curves."""
    by_case = [[case_score(matrix, targets) for matrix in curve.matrices] for curve in curves]
    return [
        CandidateScores(Candidate(checkpoint, threshold), tuple(case[index] for case in by_case))
        for index, threshold in enumerate(curves[0].thresholds)
    ]


def choices(candidates: Sequence[CandidateScores], part: Part | None = None) -> list[Choice]:
    """Return each candidate's scores over a part of the cases; [] where it has no valid voxel."""
    all_choices = [one.choice(part) for one in candidates]
    return [choice for choice in all_choices if choice is not None]

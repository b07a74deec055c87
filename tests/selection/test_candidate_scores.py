"""Scores of a candidate over cases, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vesuv.config.labels import TWO_CLASSES, LabelsConfig
from vesuv.inference.masks import ClassCut
from vesuv.selection.candidate_scores import CandidateScores, case_score, choices
from vesuv.selection.choice import Candidate

SMALL = torch.tensor([[60, 20], [0, 20]])
"""100 voxels: 20 labelled, 40 predicted, Dice 2/3. Rows are labels, columns predictions."""
LARGE = torch.tensor([[210, 0], [60, 30]])
"""300 voxels: 90 labelled, 30 predicted, Dice 1/2."""
IGNORED = torch.zeros(2, 2, dtype=torch.int64)


def _scores(*matrices: torch.Tensor) -> CandidateScores:
    cases = tuple(case_score(matrix, TWO_CLASSES) for matrix in matrices)
    return CandidateScores(Candidate("best", 0.5), cases)


def test_errors_of_opposite_signs_do_not_cancel_in_the_gap() -> None:
    choice = _scores(SMALL, LARGE).choice()

    assert choice is not None
    assert choice.gap == pytest.approx(0.2)  # 40 % against 20 %, and 10 % against 30 %
    assert choice.dice == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_fractions_are_those_of_all_voxels_together() -> None:
    choice = _scores(SMALL, LARGE).choice()

    assert choice is not None
    assert choice.predicted_fraction == pytest.approx((40 + 30) / 400)
    assert choice.labelled_fraction == pytest.approx((20 + 90) / 400)


def test_cases_without_a_valid_voxel_and_outside_the_part_do_not_count() -> None:
    scores = _scores(SMALL, IGNORED, LARGE)
    first = np.array([True, True, False])

    assert scores.choice() == _scores(SMALL, LARGE).choice()
    assert scores.choice(first) == _scores(SMALL).choice()
    assert (scores.count(first), scores.count(~first)) == (1, 1)
    assert scores.choice(np.array([False, True, False])) is None
    assert choices([scores, _scores(IGNORED, IGNORED, IGNORED)]) == [scores.choice()]


def test_of_several_classes_the_largest_gap_counts() -> None:
    targets = LabelsConfig(classes={"background": 0, "a": 1, "b": 2}).targets
    # of 10 voxels each: a is predicted on 3 and 1 where 2 are labelled, b on 1 where 2 are, twice
    matrices = (
        torch.tensor([[6, 0, 0], [0, 2, 0], [0, 1, 1]]),
        torch.tensor([[6, 0, 0], [1, 1, 0], [1, 0, 1]]),
    )
    candidate = Candidate("best", None, classes=(("a", ClassCut(None, ())), ("b", ClassCut(None))))

    choice = CandidateScores(candidate, tuple(case_score(m, targets) for m in matrices)).choice()

    assert choice is not None
    a, b = choice.scores_by_class
    assert (a.gap, b.gap, choice.gap) == pytest.approx((0.1, 0.1, 0.1))
    assert (a.predicted_fraction, b.predicted_fraction) == pytest.approx((4 / 20, 2 / 20))
    assert (a.dice, b.dice) == pytest.approx(((4 / 5 + 2 / 3) / 2, 2 / 3))

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from vesuv.config.labels import TWO_CLASSES, LabelsConfig
from vesuv.config.postprocess import read_chain
from vesuv.inference.masks import ClassCut
from vesuv.selection.choice import Candidate
from vesuv.selection.oof_predictions import score_candidate

PROBS = torch.tensor([0.9, 0.6, 0.6, 0.2, 0.7, 0.1, 0.9, 0.9]).reshape(1, 1, 1, 8)
CASE: Any = SimpleNamespace(
    label=np.zeros((1, 1, 4), np.uint8),  # of the prepared grid: not what is judged
    native_label=np.array([1, 1, 0, 0, 0, 1, 255, 255], np.uint8).reshape(1, 1, 8),
    native_spacing=(1.0, 1.0, 1.0),
)


def test_a_mask_is_compared_with_the_label_of_the_file_where_it_is_judged() -> None:
    score = score_candidate(PROBS, CASE, Candidate("best", 0.6), "dice", TWO_CLASSES)

    # 0.6 and above: voxels 0, 1, 2 and 4, of which 0 and 1 are right; three are labelled
    assert score.num_valid == 6
    assert score.overlap.dice == pytest.approx(2 * 2 / (4 + 3))
    assert score.overlap.predicted_fraction == pytest.approx(4 / 6)
    assert score.leaderboard is None


def test_steps_see_the_whole_mask_also_where_it_is_not_judged() -> None:
    chain = read_chain([{"name": "remove_small", "voxels": 2}], "test")

    score = score_candidate(
        PROBS, CASE, Candidate("best", 0.6, postprocess=chain), "dice", TWO_CLASSES
    )

    # voxel 4 stands alone and goes
    assert score.overlap.dice == pytest.approx(2 * 2 / (3 + 3))


@pytest.mark.parametrize("objective", ["leaderboard_bounds", "leaderboard_exact"])
def test_the_leaderboard_score_is_measured_where_the_objective_asks_for_it(objective) -> None:
    perfect = torch.from_numpy(np.where(CASE.native_label == 1, 0.9, 0.1)).float()[None]

    score = score_candidate(perfect, CASE, Candidate("best", 0.5), objective, TWO_CLASSES)

    assert score.leaderboard == pytest.approx(1.0)


def test_a_class_that_is_predicted_where_nothing_is_judged_counts_in_no_leaderboard_score() -> None:
    targets = LabelsConfig(classes={"background": 0, "a": 1, "b": 2}, ignore=3).targets
    scores = []
    for unjudged in (0, 2):
        classes = torch.tensor([1, 0, 0, 0, 0, 1, unjudged, unjudged]).reshape(1, 1, 8)
        probs = torch.nn.functional.one_hot(classes, 3).movedim(3, 0).float()
        candidate = Candidate("x", None, classes=(("a", ClassCut(None)), ("b", ClassCut(None))))
        score = score_candidate(probs, CASE, candidate, "leaderboard_exact", targets)
        scores.append(score.leaderboard)

    assert scores[0] == scores[1] < 1.0

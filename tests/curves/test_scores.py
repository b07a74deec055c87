"""Scores of picks, counted by hand."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from vesuv.curves.picks import Pick
from vesuv.curves.scores import LogPicks, best_threshold, matches, score


def pick(
    row: float, kind: int = 0, dip: float = 10.0, azimuth: float = 0.0, p: float = 0.9
) -> Pick:
    return Pick(row, dip, azimuth, kind, p)


def judged(predictions: list[Pick], references: list[Pick], rows: int = 200) -> LogPicks:
    return LogPicks("a", rows, tuple(predictions), tuple(references))


def test_a_pick_is_right_within_one_row_and_with_its_kind() -> None:
    references = [pick(10), pick(50, kind=1), pick(90)]
    predictions = [pick(10.9), pick(50, kind=0), pick(91.5), pick(150)]

    scores = score([judged(predictions, references)], strip_rows=100)

    assert scores["precision@1"] == pytest.approx(1 / 4)
    assert scores["recall@1"] == pytest.approx(1 / 3)
    assert scores["f1@1"] == pytest.approx(2 / 7)
    assert scores["f1@2"] == pytest.approx(4 / 7)
    assert scores["false_per_strip"] == pytest.approx(2 / 2)
    assert scores["f1@2[bedding]"] == pytest.approx(4 / 6)
    assert scores["f1@2[fracture]"] == 0.0


def test_two_predictions_of_one_pick_are_one_right_and_one_false() -> None:
    scores = score([judged([pick(10), pick(10.5)], [pick(10)])], strip_rows=100)

    assert scores["precision@1"] == 0.5
    assert scores["recall@1"] == 1.0


def test_dip_and_azimuth_are_judged_on_the_matched_alone() -> None:
    references = [pick(10, dip=20, azimuth=355), pick(50, dip=20, azimuth=90)]
    predictions = [pick(10, dip=23, azimuth=8), pick(50, dip=24, azimuth=90), pick(99)]

    scores = score([judged(predictions, references)], strip_rows=100)

    assert scores["dip_within_3"] == 0.5
    assert scores["azimuth_within_15"] == 1.0
    assert scores["f1@2"] == pytest.approx(4 / 5)
    assert scores["f1_all@2"] == pytest.approx(2 / 5)


@pytest.mark.parametrize("seed", range(15))
def test_no_other_assignment_matches_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictions = [pick(row, int(rng.integers(2))) for row in rng.uniform(0, 8, 4)]
    references = [pick(row, int(rng.integers(2))) for row in rng.uniform(0, 8, 5)]

    num = len(matches(predictions, references, 1.0))

    best = max(
        sum(
            one.kind == other.kind and abs(one.row - other.row) <= 1.0
            for one, other in zip(predictions, order, strict=True)
        )
        for order in permutations(references, 4)
    )
    assert num == best


def test_of_several_pairs_the_nearest_is_matched() -> None:
    ((_, reference),) = matches([pick(10.4)], [pick(9.5), pick(10.5)], 1.0)

    assert reference.row == 10.5


def test_without_picks_there_is_no_score() -> None:
    scores = score([judged([], [])], strip_rows=100)

    assert math.isnan(scores["f1@1"])
    assert scores["false_per_strip"] == 0.0


def test_the_best_threshold_drops_the_weak_false_picks() -> None:
    predictions = [pick(10, p=0.8), pick(50, p=0.6), pick(90, p=0.3), pick(130, p=0.2)]
    log = judged(predictions, [pick(10), pick(50)])

    assert best_threshold([log], 2.0) == (0.35, 1.0)

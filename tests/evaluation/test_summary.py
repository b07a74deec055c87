from __future__ import annotations

import math

import pytest
import torch

from vesuv.evaluation.summary import CaseScores, compare, comparison_rows, worst_first


def _case(name: str, hits: int, predictions: str = "one", **values: float) -> CaseScores:
    """Ten labelled voxels of which so many are hit, nothing else predicted."""
    matrix = torch.tensor([[90, 0], [10 - hits, hits]])
    return CaseScores(name, None, predictions, matrix, values)


def test_cases_are_sorted_by_dice_and_unjudged_ones_come_last() -> None:
    unjudged = CaseScores("a", None, "one", torch.zeros(2, 2, dtype=torch.int64), {})
    found = [unjudged, _case("b", 9), _case("c", 3), _case("d", 9)]

    assert [case.id for case in worst_first(found)] == ["c", "b", "d", "a"]


def test_the_leaderboard_score_goes_before_dice() -> None:
    found = [_case("b", 3, leaderboard=0.9), _case("c", 9, leaderboard=0.5)]

    assert [case.id for case in worst_first(found)] == ["c", "b"]


def test_less_distance_is_better_and_less_recall_is_worse() -> None:
    first = [_case(f"{hits}", hits, hd95=3.0) for hits in (4, 6, 8)]
    second = [_case(f"{hits}", hits - 2, "two", hd95=2.5) for hits in (8, 6, 4)]

    found = compare(first, second)

    assert (found["recall"].verdict, found["hd95"].verdict) == ("worse", "better")
    assert found["recall"].comparison.difference == pytest.approx(-0.2)
    assert found["precision"].verdict == ""  # the same 1 everywhere
    assert "predicted_fraction" not in found
    rows = comparison_rows("one", {"two": found})
    (row,) = (row for row in rows if row["measure"] == "hd95")
    assert (row["predictions"], row["against"], row["difference"]) == ("two", "one", -0.5)
    assert (row["low"], row["high"]) == (-0.5, -0.5)
    assert math.isnan(row["p_value"])
    assert row["note"] == "too few for a test: 3 cases differ, it needs 6"

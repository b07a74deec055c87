"""Means, spreads and paired differences, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from vesuv.studies.comparison import (
    headline_columns,
    paired_difference,
    spread,
    t_interval,
)
from vesuv.studies.records import Record


def record(arm: str, fold: int, seed: int, dice: float) -> Record:
    return Record(arm, fold, seed, "finished", (), scores={"dice": dice})


RUNS = [
    record("a", 0, 0, 0.70),
    record("a", 0, 1, 0.74),
    record("a", 1, 0, 0.60),
    record("a", 1, 1, 0.66),
    record("b", 0, 0, 0.72),
    record("b", 0, 1, 0.77),
    record("b", 1, 0, 0.61),
    record("b", 1, 1, 0.70),
]


def test_the_spread_is_that_of_runs_folds_and_seeds() -> None:
    scores = spread(RUNS[:4], "dice")

    assert scores.mean == pytest.approx(0.675)
    # squared distances to 0.675: 0.000625 + 0.004225 + 0.005625 + 0.000225 = 0.0107
    assert scores.runs == pytest.approx(math.sqrt(0.0107 / 3))
    # fold means 0.72 and 0.63
    assert scores.folds == pytest.approx(0.09 / math.sqrt(2))
    # 2 * 0.02² in fold 0, 2 * 0.03² in fold 1, one degree of freedom in each
    assert scores.seeds == pytest.approx(math.sqrt((2 * 0.02**2 + 2 * 0.03**2) / 2))


def test_one_seed_has_no_spread_over_seeds() -> None:
    scores = spread([RUNS[0], RUNS[2]], "dice")

    assert math.isnan(scores.seeds)
    assert scores.folds == pytest.approx(scores.runs) == pytest.approx(0.1 / math.sqrt(2))


def test_differences_are_paired_by_fold_and_seed() -> None:
    difference = paired_difference(RUNS, "a", "b", "dice")

    # differences 0.02, 0.03, 0.01, 0.04: mean 0.025, variance 0.0005 / 3
    assert difference.num_pairs == 4
    assert difference.mean == pytest.approx(0.025)
    # Student's t of 3 degrees of freedom, 97.5 %, from a printed table: 3.182
    half = 3.182 * math.sqrt(0.0005 / 3) / 2
    assert difference.interval == pytest.approx((0.025 - half, 0.025 + half), abs=1e-5)


def test_only_pairs_that_both_arms_finished_count() -> None:
    failed = Record("b", 0, 1, "failed", (), message="broken")
    runs = [*RUNS[:5], failed, record("b", 1, 0, math.nan), RUNS[7]]

    difference = paired_difference(runs, "a", "b", "dice")

    assert difference.num_pairs == 2
    assert difference.mean == pytest.approx((0.02 + 0.04) / 2)


def test_one_pair_has_no_interval() -> None:
    assert all(math.isnan(end) for end in t_interval([0.5]))
    assert math.isnan(paired_difference(RUNS[:4], "a", "b", "dice").mean)


def test_short_tables_leave_parts_and_classes_out() -> None:
    scores = {
        "dice": 0.5,
        "dice[bone]": 0.4,
        "voi": 1.0,
        "voi_split": 0.5,
        "surface_dice@1vox": 0.7,
        "selected/dice": 0.6,
        "held_out/voi_merge": 0.1,
    }

    names = headline_columns([Record("a", 0, 0, "finished", (), scores=scores)])

    assert names == ["dice", "voi", "surface_dice@1vox", "selected/dice"]

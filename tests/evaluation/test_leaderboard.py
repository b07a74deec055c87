import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vesuv.errors import InputError
from vesuv.evaluation import betti_matching, betti_wheel
from vesuv.evaluation.leaderboard import leaderboard_score
from vesuv.runtime.betti_library import betti_library

REFERENCE = Path(__file__).parents[1] / "data/leaderboard"
CASES = json.loads((REFERENCE / "expected.json").read_text())["cases"]
NUMBERS = ("score", "topo_score", "surface_dice", "voi_score", "voi_split", "voi_merge")


def volumes(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    with np.load(REFERENCE / f"{case['case']}.npz") as arrays:
        return arrays["prediction"], arrays["label"]


def sheet(shape: tuple[int, int, int] = (12, 12, 12)) -> np.ndarray:
    volume = np.zeros(shape, np.uint8)
    volume[:, 5:7] = 1
    return volume


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_every_number_is_the_competitions_own(case: dict[str, Any]) -> None:
    result = leaderboard_score(*volumes(case))

    assert [list(counts) for counts in result.topo_counts] == list(case["topo_counts"].values())
    assert list(result.topo_f1) == pytest.approx(list(case["topo_f1"].values()), abs=1e-9)
    for name in NUMBERS:
        assert getattr(result, name) == pytest.approx(case[name], abs=1e-9), name
    assert result.score_low == result.score == result.score_high


@pytest.mark.parametrize("case", CASES[:10], ids=lambda case: case["case"])
def test_bounds_hold_the_score_even_if_no_loop_may_be_counted(
    case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(betti_matching, "MOST_LOOPS", 0)

    result = leaderboard_score(*volumes(case), mode="bounds")

    assert result.score_low - 1e-9 <= case["score"] <= result.score_high + 1e-9
    assert result.score == result.score_low


def test_bounds_meet_where_the_loops_can_be_counted() -> None:
    result = leaderboard_score(*volumes(CASES[6]), mode="bounds")

    assert result.score_low == result.score_high == pytest.approx(CASES[6]["score"], abs=1e-9)


def test_more_loops_than_can_be_counted_go_through_the_full_matching(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(betti_matching, "MOST_LOOPS", 0)

    result = leaderboard_score(*volumes(CASES[7]))

    assert result.topo_counts[1] == (21, 45, 22)


def test_the_full_matching_names_the_extra_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(betti_matching, "MOST_LOOPS", 0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(betti_wheel, "betti_library", betti_library.__wrapped__)

    with pytest.raises(InputError, match=r"pip install 'vesuv\[topology\]'"):
        leaderboard_score(*volumes(CASES[7]))


@pytest.mark.parametrize("ignored", ["background", "excluded"])
@pytest.mark.parametrize("value", [0, 2])
def test_nothing_on_either_side_and_all_ignored_score_one(ignored: Any, value: int) -> None:
    prediction = sheet() if value == 2 else np.zeros((12, 12, 12), np.uint8)

    result = leaderboard_score(prediction, np.full((12, 12, 12), value), ignored_voxels=ignored)

    assert result.score == pytest.approx(1.0)
    assert result.topo_f1 == (None, None, None)


def test_a_missing_sheet_keeps_only_part_of_the_voi_score() -> None:
    result = leaderboard_score(np.zeros((12, 12, 12)), sheet())

    # one component: VOI 0; no octant has a feature to lose: one component a piece is none
    assert (result.surface_dice, result.voi_score, result.topo_score) == (0.0, 1.0, 1.0)


def test_features_that_the_label_lacks_leave_half_over_their_number() -> None:
    prediction = np.zeros((4, 4, 20), np.uint8)
    prediction[0, 0, [0, 2, 4, 6]] = 1  # 4 components in one octant: 3 features

    result = leaderboard_score(prediction, np.zeros_like(prediction))

    assert result.topo_f1 == (pytest.approx(0.5 / 3.5), None, None)


def test_a_prediction_that_goes_on_into_ignored_voxels_is_perfect_when_they_are_excluded() -> None:
    label = sheet()
    label[4:8] = 2  # the label is cut in two

    as_background = leaderboard_score(sheet(), label)
    excluded = leaderboard_score(sheet(), label, ignored_voxels="excluded")

    assert as_background.score == pytest.approx(1.0)
    assert excluded.surface_dice == pytest.approx(1.0)
    assert excluded.voi_merge == pytest.approx(1.0)  # the prediction does join its halves: 1 bit


def test_surface_beside_ignored_voxels_counts_only_as_background() -> None:
    label = sheet()
    label[6:] = 2
    prediction = sheet()
    prediction[5] = 0  # stops short of the ignored half, which it fills

    as_background = leaderboard_score(prediction, label, tolerance=0.0)
    excluded = leaderboard_score(prediction, label, tolerance=0.0, ignored_voxels="excluded")

    assert excluded.surface_dice > as_background.surface_dice


def test_a_label_without_an_ignore_value_is_judged_everywhere() -> None:
    label = sheet() * 2

    assert leaderboard_score(sheet(), label, ignore=None).score == pytest.approx(1.0)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(2, 2, 2\).*\(2, 2, 3\)"):
        leaderboard_score(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)))


@pytest.mark.parametrize("name", ["mode", "ignored_voxels"])
def test_an_unknown_choice_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is 'fast'; choose"):
        leaderboard_score(sheet(), sheet(), **{name: "fast"})

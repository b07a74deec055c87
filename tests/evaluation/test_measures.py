from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from vesuv.errors import InputError
from vesuv.evaluation import measures
from vesuv.evaluation.measure import IgnoredVoxels, Pair
from vesuv.evaluation.measures import find_column, find_measure, parse_measures
from vesuv.evaluation.overlap import confusion, scores

ALL = parse_measures(["all"], "exact")


def better(column: str) -> str | None:
    return find_column(column).better


def _pair(
    prediction: np.ndarray,
    label: np.ndarray,
    valid: np.ndarray | None = None,
    ignored_voxels: IgnoredVoxels = "background",
) -> Pair:
    judged = np.ones_like(label) if valid is None else valid
    tensors = [torch.from_numpy(part) for part in (prediction, label & judged, judged)]
    overlap = scores(confusion(*tensors, 2))
    return Pair(prediction, label & judged, judged, (1.0, 1.0, 1.0), overlap, ignored_voxels)


def measure(name: str, pair: Pair) -> dict[str, float]:
    return find_measure(name).row(pair)


def _bar(start: int, stop: int) -> np.ndarray:
    mask = np.zeros((12, 3, 3), dtype=bool)
    mask[start:stop, 1, 1] = True
    return mask


def test_names_are_spelled_out_once_and_the_leaderboard_comes_first() -> None:
    names = ["voi", "surface_dice@2,1.5", "surface_dice", "voi"]

    assert parse_measures(names, "bounds") == (
        "leaderboard:bounds",
        "voi",
        "surface_dice@2",
        "surface_dice@1.5",
        "surface_dice@2vox",
    )
    assert parse_measures([], "none") == ()
    assert len(ALL) == 10


def test_overlap_scores_and_the_leaderboard_have_names_too() -> None:
    assert parse_measures(["f1", "leaderboard", "leaderboard:exact"]) == ("f1", "leaderboard:exact")
    assert find_column("labelled_fraction").style == "share"


def test_the_overlap_scores_are_those_of_the_confusion_matrix() -> None:
    assert list(_pair(_bar(3, 9), _bar(2, 8)).overlap.as_dict()) == list(measures.OVERLAP)


def test_what_measures_share_is_computed_once() -> None:
    calls: list[Pair] = []
    pair = _pair(_bar(3, 9), _bar(2, 8))

    results = [pair.shared(calls.append), pair.shared(calls.append)]

    assert results == [None, None]
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("names", "leaderboard", "message"),
    [
        (["clDice"], "none", r"found 'clDice'; did you mean cldice\?"),
        (["?"], "none", r"found '\?'$"),
        (["leaderboard:bounds"], "exact", r"the leaderboard score is exact or bounds; found both"),
        (["vio"], "none", r"--measures: must be of .*voi.* found 'vio'"),
        (
            ["surface_dice@two"],
            "none",
            r"--measures: tolerances are lengths in the files.*'surface_dice@two'",
        ),
        (
            ["surface_dice@"],
            "none",
            r"--measures: tolerances are lengths in the files.*'surface_dice@'",
        ),
        ([], "yes", r"--leaderboard: must be exact, bounds or none; found 'yes'"),
    ],
)
def test_names_that_are_none_are_refused(names: list[str], leaderboard: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_measures(names, leaderboard)


def test_a_shifted_bar() -> None:
    pair = _pair(_bar(3, 9), _bar(2, 8))

    # of six voxels each, five coincide and the ends are one voxel away
    assert measure("assd", pair)["assd"] == pytest.approx(2 / 12)
    assert measure("surface_dice@1", pair) == {"surface_dice@1": 1.0}
    assert measure("betti", pair) == {
        "components_error": 0,
        "components_predicted": 1,
        "components_labelled": 1,
        "loops_error": 0,
        "loops_predicted": 0,
        "loops_labelled": 0,
        "cavities_error": 0,
        "cavities_predicted": 0,
        "cavities_labelled": 0,
    }
    assert measure("fraction", pair)["fraction_error"] == 0.0


def test_a_broken_bar() -> None:
    pair = _pair(_bar(2, 8) & ~_bar(4, 6), _bar(2, 8))

    assert measure("betti", pair)["components_error"] == 1
    # segments of 2, 2 and 2 (background) voxels for one: log2(3) bits of splits
    found = measure("voi", pair)
    assert found["voi_split"] == pytest.approx(math.log2(3))
    assert found["voi"] == found["voi_split"] + found["voi_merge"]
    assert found["voi_merge"] == 0.0
    fraction = measure("fraction", pair)
    assert fraction["fraction_error"] == pytest.approx(2 / 108)
    assert fraction["fraction_bias"] == pytest.approx(-2 / 108)
    assert fraction["fraction_bias_relative"] == pytest.approx(-2 / 6)


def test_ignored_voxels_cut_a_prediction_unless_they_are_excluded() -> None:
    valid = ~_bar(4, 6)
    background, excluded = (
        _pair(_bar(2, 8), _bar(2, 8), valid, ignored) for ignored in ("background", "excluded")
    )

    # excluded, the prediction is one segment over the label's two
    assert measure("voi", background)["voi"] == 0.0
    assert measure("voi", excluded)["voi_merge"] == pytest.approx(1.0)
    for pair in (background, excluded):
        assert measure("surface_dice@1", pair)["surface_dice@1"] == 1.0


def test_nothing_judged_is_no_value_but_for_the_leaderboard() -> None:
    pair = _pair(_bar(2, 8), _bar(2, 8), np.zeros((12, 3, 3), dtype=bool))

    for name in ALL:
        row = measure(name, pair)
        if name == "leaderboard:exact":
            assert row["leaderboard"] == 1.0
        else:
            assert all(map(math.isnan, row.values()))


def test_every_score_has_a_direction_and_every_row_is_plain_json() -> None:
    pair = _pair(_bar(3, 9), _bar(2, 8))
    rows = [measure(name, pair) for name in ALL]
    columns = [column for row in rows for column in row]

    assert len(set(columns)) == len(columns)
    assert json.loads(json.dumps(rows[1:])) == rows[1:]
    assert {column for column in columns if find_column(column).headline} == {
        "leaderboard",
        "surface_dice@1vox",
        "surface_dice@2vox",
        "hd95",
        "assd",
        "cldice",
        "surface_cldice",
        "components_error",
        "loops_error",
        "cavities_error",
        "voi",
        "fraction_error",
    }
    assert all(better(column) for column in columns if find_column(column).headline)
    assert (better("leaderboard_voi"), better("leaderboard_low")) == ("higher", None)
    assert (better("hd95"), better("loops_error")) == ("lower", "lower")
    assert better("components_predicted") is better("fraction_bias") is None


def test_the_leaderboard_score_is_told_in_all_its_parts() -> None:
    row = measure("leaderboard:bounds", _pair(_bar(2, 8), _bar(2, 8)))

    assert row["leaderboard"] == row["leaderboard_low"] == row["leaderboard_high"] == 1.0
    assert math.isnan(row["leaderboard_f1_loops"])
    assert row["leaderboard_voi_split"] == 0.0
    assert (row["leaderboard_loops_matched"], row["leaderboard_loops_labelled"]) == (0, 0)
    assert measures.CHOICES[0] == "surface_dice@1vox,2vox"

from __future__ import annotations

import math

import numpy as np
import pytest

from vesuv.config.labels import LabelsConfig
from vesuv.selection.calibration import calibrate_selection, fit_temperature
from vesuv.selection.class_search import search_classes
from vesuv.selection.level_counts import LevelCounts
from vesuv.selection.search import search

HIGH, LOW = 0.9025, 0.0975
"""Middles of steps, of log odds ±2.2253."""
LOG_ODDS = math.log(HIGH / LOW)


def _coins(share: float, num: int = 20) -> tuple[list[float], list[int]]:
    """Voxels of HIGH that are foreground by this share, and as many of LOW that are not."""
    inside = round(share * num)
    probs = [HIGH] * num + [LOW] * num
    return probs, [1] * inside + [0] * (num - inside) + [0] * inside + [1] * (num - inside)


def _counts(levels: list[list[int]], classes: list[int]) -> LevelCounts:
    return LevelCounts.of(np.array(levels, np.uint8), np.array(classes, np.uint8))


def test_voxels_are_counted_by_levels_and_class() -> None:
    counts = _counts([[7, 7, 200, 7, 7], [1, 1, 0, 2, 1]], [0, 0, 1, 0, 1])

    rows = np.vstack([counts.levels, counts.classes[None], counts.voxels[None]]).T.tolist()
    assert sorted(rows) == [[7, 1, 0, 2], [7, 1, 1, 1], [7, 2, 0, 1], [200, 0, 1, 1]]


@pytest.mark.parametrize("channels", [1, 2, 3, 7, 8])
def test_counts_of_many_channels_and_chunks_add_up(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vesuv.selection.level_counts._CHUNK", 30)
    rng = np.random.default_rng(channels)
    levels = rng.integers(0, 3, (channels, 100)).astype(np.uint8)
    classes = rng.integers(0, 2, 100).astype(np.uint8)

    counts = LevelCounts.of(levels, classes)

    expected: dict[tuple[int, ...], int] = {}
    for column in np.vstack([levels, classes[None]]).T.tolist():
        expected[tuple(column)] = expected.get(tuple(column), 0) + 1
    found: dict[tuple[int, ...], int] = {}
    columns = np.vstack([counts.levels, counts.classes[None]]).T.tolist()
    for column, num in zip(columns, counts.voxels.tolist(), strict=True):
        found[tuple(column)] = found.get(tuple(column), 0) + num
    assert found == expected


@pytest.mark.parametrize("share", [0.75, 0.6, 0.95])
def test_the_temperature_of_a_sigmoid_makes_frequencies_of_probabilities(share: float) -> None:
    probs, label = _coins(share)
    levels = [[180 if p == HIGH else 19 for p in probs]]

    # sigmoid(log odds / T) = share
    expected = LOG_ODDS / math.log(share / (1 - share))
    assert fit_temperature(_counts(levels, label)) == pytest.approx(expected, abs=1e-3)


def test_the_temperature_of_a_softmax_makes_frequencies_of_probabilities() -> None:
    # the likeliest class, 0.8025 to 0.0975 each, is right in 6 of 10, the others in 2 of 10 each
    top, rest = 160, 19
    columns = [[top, rest, rest], [rest, top, rest], [rest, rest, top]]
    levels = [column for column in columns for _ in range(10)]
    classes = [
        *[0] * 6, *[1] * 2, *[2] * 2,
        *[1] * 6, *[0] * 2, *[2] * 2,
        *[2] * 6, *[0] * 2, *[1] * 2,
    ]  # fmt: skip

    expected = math.log(0.8025 / 0.0975) / math.log(3)
    counts = _counts(np.array(levels).T.tolist(), classes)
    assert fit_temperature(counts) == pytest.approx(expected, abs=1e-3)


def test_a_network_that_is_never_wrong_gets_the_smallest_temperature() -> None:
    assert fit_temperature(_counts([[180, 19]], [1, 0])) == pytest.approx(0.1, abs=1e-3)


def test_errors_before_after_and_honest_are_those_of_the_hand(make_problem) -> None:
    first, second = _coins(0.75), _coins(0.6)
    problem = make_problem(
        {"A": first[1], "B": second[1]},
        {"best": {"A": first[0], "B": second[0]}},
        thresholds=(0.5,),
        tolerance=1.0,
    )

    calibration = calibrate_selection(search(problem)).plain()

    # both cases: share 0.675 of either kind
    assert calibration["temperature"] == pytest.approx(LOG_ODDS / math.log(0.675 / 0.325), abs=1e-3)
    assert calibration["error_before"] == pytest.approx(HIGH - 0.675)
    assert calibration["error"] == pytest.approx(0.0, abs=1e-4)
    # each case gets the other's share: 0.6 against 0.75, and 0.75 against 0.6
    honest = calibration["honest"]
    assert (honest["left_out"], honest["error"]) == ("case", pytest.approx(0.15, abs=1e-4))
    rounds = {one["left_out"]: one for one in honest["rounds"]}
    assert rounds["A"]["temperature"] == pytest.approx(LOG_ODDS / math.log(1.5), abs=1e-3)
    assert rounds["A"]["error_before"] == pytest.approx(HIGH - 0.75)
    assert rounds["A"]["error"] == pytest.approx(0.15, abs=1e-4)
    assert rounds["B"]["temperature"] == pytest.approx(LOG_ODDS / math.log(3), abs=1e-3)


def test_ignored_voxels_have_no_say(make_problem) -> None:
    probs, label = _coins(0.75)
    problem = make_problem(
        {"A": [*label, *[255] * 40]},
        {"best": {"A": [*probs, *[0.9975] * 40]}},
        thresholds=(0.5,),
        tolerance=1.0,
    )

    calibration = calibrate_selection(search(problem))

    assert calibration.temperature == (pytest.approx(LOG_ODDS / math.log(3), abs=1e-3),)
    assert calibration.plain()["honest"] is None  # one case: nothing to leave out
    assert "honest" not in calibration.sentence()


def test_each_region_has_a_temperature_and_an_error_by_its_name(make_problem) -> None:
    targets = LabelsConfig(
        classes={"air": 0, "a": 1, "b": 2}, regions={"both": ("a", "b"), "b": ("b",)}
    ).targets
    # "both" is right in 3 of 4; "b" in 3 of 5, and is in "both" wherever it is
    both, in_both = _coins(0.75)
    is_b = [1] * 12 + [0] * 28
    classes = [2 if b else int(f) for b, f in zip(is_b, in_both, strict=True)]
    probs = np.array([both, [HIGH] * 20 + [LOW] * 20], np.float32).reshape(2, 1, 1, 40)
    problem = make_problem(
        {"A": classes}, {"best": {"A": probs}}, targets=targets, thresholds=(0.5,), tolerance=1.0
    )

    plain = calibrate_selection(search_classes(problem)).plain()

    assert plain["temperature"]["both"] == pytest.approx(LOG_ODDS / math.log(3), abs=1e-3)
    # 12 of 20 at HIGH and none of 20 at LOW: the slope of both halves together is steeper
    assert plain["error_before"] == {
        "both": pytest.approx(HIGH - 0.75),
        "b": pytest.approx((HIGH - 0.6) / 2 + LOW / 2),
    }
    # 32 of 40 voxels agree with their side of one half: sigmoid(log odds / T) = 0.8
    assert plain["temperature"]["b"] == pytest.approx(LOG_ODDS / math.log(4), abs=1e-3)


def test_a_softmax_has_one_temperature_and_the_error_of_each_class(make_problem) -> None:
    targets = LabelsConfig(classes={"air": 0, "a": 1, "b": 2}).targets
    columns = [[0.8025, 0.0975, 0.0975], [0.0975, 0.8025, 0.0975], [0.0975, 0.0975, 0.8025]]
    probs = np.array([c for c in columns for _ in range(10)], np.float32).T.reshape(3, 1, 1, 30)
    label = [*[0] * 6, 1, 1, 2, 2, *[1] * 6, 0, 0, 2, 2, *[2] * 6, 0, 0, 1, 1]
    problem = make_problem(
        {"A": label}, {"best": {"A": probs}}, targets=targets, thresholds=(0.5,), tolerance=1.0
    )

    plain = calibrate_selection(search_classes(problem)).plain()

    assert plain["temperature"] == pytest.approx(math.log(0.8025 / 0.0975) / math.log(3), abs=1e-3)
    # a third of the voxels at 0.8025 against 0.6, two thirds at 0.0975 against 0.2
    before = (0.8025 - 0.6) / 3 + (0.2 - 0.0975) * 2 / 3
    assert plain["error_before"] == {name: pytest.approx(before) for name in "ab"}
    assert plain["error"] == {name: pytest.approx(0.0, abs=1e-4) for name in "ab"}

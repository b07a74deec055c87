"""A run's files with numbers that no run has: they are left out, and what is right is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vesuv.runs.history import RunHistory

TILE = {"case": "a", "predicted": 0.2, "labelled": 0.1, "dice": 0.5}
CHOICE = {"checkpoint": "best", "threshold": 0.5, "postprocess": [], "dice": 0.7, "gap": 0.1}


def history_of(folder: Path, name: str, *lines: object) -> RunHistory:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return RunHistory.read(folder)


@pytest.mark.parametrize("epoch", [-1, 10**9 + 1, 10**400, 1.5, "x", None])
def test_lines_of_an_epoch_that_no_run_has_are_left_out(tmp_path: Path, epoch: object) -> None:
    lines = [{"epoch": number, "kind": "stop", "line": "end"} for number in (epoch, 10**9)]

    observations = history_of(tmp_path, "evidence.jsonl", *lines).observations
    events = history_of(tmp_path, "events.jsonl", *lines).events

    assert [line.epoch for line in observations] == [10**9]
    assert [line.epoch for line in events] == [10**9]


def test_rows_of_an_epoch_that_no_run_has_are_left_out(tmp_path: Path) -> None:
    epochs = ("-1", "1.5", "1e12", "nan", "inf", "1" + "0" * 400, "", "3")
    (tmp_path / "metrics.csv").write_text(
        "epoch,val/dice\n" + "".join(f"{epoch},0.5\n" for epoch in epochs)
    )

    assert RunHistory.read(tmp_path).metrics.points("val/dice") == [(3, 0.5)]


def test_the_columns_of_a_score_are_found_by_class(tmp_path: Path) -> None:
    names = ("val/dice", "val/dice[bone]", "val/full_dice[bone]", "val/dice[a [x]]", "val/dice[b")
    (tmp_path / "metrics.csv").write_text(
        ",".join(("epoch", *names)) + "\n0" + ",0.5" * len(names) + "\n"
    )

    metrics = RunHistory.read(tmp_path).metrics

    assert metrics.by_class("val/dice") == {"bone": "val/dice[bone]", "a [x]": "val/dice[a [x]]"}
    assert metrics.by_class("val/full_dice") == {"bone": "val/full_dice[bone]"}
    assert metrics.by_class("val/iou") == {}


@pytest.mark.parametrize(
    "bad",
    [
        {**TILE, "predicted": 1.01},
        {**TILE, "labelled": -0.01},
        {**TILE, "dice": float("nan")},
        {**TILE, "dice": 10**400},
        {**TILE, "case": 7},
        {"case": "a"},
        "tile",
        None,
    ],
)
def test_one_bad_tile_costs_no_other_measurement(tmp_path: Path, bad: object) -> None:
    line = {"epoch": 4, "tiles": [TILE, bad, {**TILE, "case": "b"}], "groups": {"north": 0.5}}

    (observation,) = history_of(tmp_path, "evidence.jsonl", line).observations

    assert [tile.case for tile in observation.tiles] == ["a", "b"]
    assert observation.groups == {"north": 0.5}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tiles", {"a": 1}),
        ("groups", {"north": 1.5}),
        ("errors", {"right": -1, "near": 0, "far": 0}),
        ("errors", {"right": 10**30, "near": 0, "far": 0}),
        ("labels", {"values": {}, "foreground": 2.0, "ignore": 0.0, "patches_with_foreground": 1}),
    ],
)
def test_an_observation_with_another_bad_number_is_left_out(
    tmp_path: Path, key: str, value: object
) -> None:
    assert history_of(tmp_path, "evidence.jsonl", {"epoch": 4, key: value}).observations == ()


def test_a_selection_is_read(tmp_path: Path) -> None:
    content = {
        "selected": {**CHOICE, "why": "highest", "honest": {"left_out": "fold", "dice": 0.6}},
        "choices": [CHOICE],
    }

    selection = history_of(tmp_path, "distribution/summary.json", content).selection

    assert selection is not None and selection.selected.honest is not None
    assert (selection.selected.why, selection.selected.honest.dice) == ("highest", 0.6)
    assert selection.choices[0].model_dump(exclude_none=True) == {**CHOICE, "classes": {}}


def test_a_selection_of_several_classes_is_read_by_class(tmp_path: Path) -> None:
    one = {"threshold": 0.3, "dice": None, "gap": 0.01, "postprocess": []}
    content = {"selected": {**CHOICE, "classes": {"ink": one}}, "choices": []}

    selection = history_of(tmp_path, "distribution/summary.json", content).selection

    assert selection is not None
    (ink,) = selection.selected.classes.values()
    assert (ink.threshold, ink.dice, ink.gap) == (0.3, None, 0.01)


def test_a_joint_selection_is_read_beside_the_runs(tmp_path: Path) -> None:
    run = tmp_path / "fold_0"
    run.mkdir()
    joint, former = {**CHOICE, "threshold": 0.4}, {**CHOICE, "threshold": 0.8}
    for folder, selected in ((tmp_path, joint), (run, former)):
        (folder / "distribution").mkdir()
        content = {"selected": {**selected, "why": "highest"}, "choices": [selected, CHOICE]}
        (folder / "distribution/summary.json").write_text(json.dumps(content))

    selection = history_of(run, "selected.json", {**joint, "why": "highest"}).selection
    alone = history_of(run, "selected.json", {**joint, "threshold": 0.6}).selection

    assert selection is not None and alone is not None
    assert (selection.selected.threshold, len(selection.choices)) == (0.4, 2)
    assert (alone.selected.threshold, alone.choices) == (0.6, ())


@pytest.mark.parametrize(
    "change",
    [
        {"dice": 1.5},
        {"dice": "0.5"[:0]},
        {"threshold": 2},
        {"checkpoint": None},
        {"postprocess": "x"},
        {"gap": float("inf")},
        {"honest": {"left_out": 1}},
    ],
)
def test_a_selection_with_a_bad_number_is_left_out(tmp_path: Path, change: dict[str, Any]) -> None:
    content = {"selected": {**CHOICE, **change}, "choices": [CHOICE]}

    assert history_of(tmp_path, "distribution/summary.json", content).selection is None


def test_one_bad_choice_costs_no_other(tmp_path: Path) -> None:
    content = {"selected": CHOICE, "choices": [CHOICE, {**CHOICE, "dice": 2}, 7]}

    selection = history_of(tmp_path, "distribution/summary.json", content).selection

    assert selection is not None and len(selection.choices) == 1

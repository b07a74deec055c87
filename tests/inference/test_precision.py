"""Predictions are made in the precision that the selection was judged in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import vesuv
from vesuv.inference.best_file import open_best
from vesuv.inference.members import Member, open_members
from vesuv.runs.folder import RunFolder


def _cpu(monkeypatch: pytest.MonkeyPatch, *, bfloat16: bool) -> None:
    monkeypatch.setattr("vesuv.runtime.machine.cpu_has_bfloat16", lambda: bfloat16)


def _select(run: RunFolder, **inference: object) -> None:
    content = {"version": 1, "checkpoint": "best", "threshold": 0.4, "inference": inference}
    run.selected_file.write_text(json.dumps(content))


def _open(run: RunFolder, *changes: str) -> Member:
    (member,) = open_members([run.path], changes=changes)
    return member


@pytest.mark.parametrize("configured", ["auto", "float32", "bfloat16"])
@pytest.mark.parametrize("judged", ["float32", "bfloat16"])
def test_the_judged_precision_comes_before_the_configured_one(
    make_run, monkeypatch: pytest.MonkeyPatch, configured: str, judged: str
) -> None:
    _cpu(monkeypatch, bfloat16=True)
    run = make_run("a", runtime__precision=configured)
    _select(run, precision=judged)
    sentences: list[str] = []

    model = vesuv.load(run.path, say=sentences.append)

    assert (model.machine.precision, sentences) == (judged, [])


@pytest.mark.parametrize("configured", ["float32", "bfloat16"])
def test_without_a_recorded_precision_the_configured_one_is_taken(
    make_run, monkeypatch: pytest.MonkeyPatch, configured: str
) -> None:
    _cpu(monkeypatch, bfloat16=False)
    run = make_run("a", checkpoints=("best", "last"), runtime__precision=configured)
    assert vesuv.load(run.path).machine.precision == configured

    _select(run, overlap=0.25)  # as older versions wrote it
    assert vesuv.load(run.path).machine.precision == configured
    _select(run, precision="float32")
    other = vesuv.load(run.path, checkpoint="last")  # nothing was selected for it
    assert other.machine.precision == configured


def test_the_precision_of_the_user_comes_first_and_the_difference_is_reported(
    make_run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cpu(monkeypatch, bfloat16=False)
    run = make_run("a")
    _select(run, precision="bfloat16")
    sentences: list[str] = []

    model = vesuv.load(run.path, changes=["runtime.precision=float32"], say=sentences.append)

    assert model.machine.precision == "float32"
    assert sentences == [
        "precision float32, from runtime.precision; the selection was judged in bfloat16"
    ]
    same = _open(run, "runtime.precision=bfloat16")
    assert (same.config.runtime.precision, same.precision_note) == ("bfloat16", None)
    automatic = _open(run, "runtime.precision=auto")
    assert automatic.config.runtime.precision == "auto"
    assert automatic.precision_note == sentences[0]


def test_a_device_that_lacks_the_judged_precision_predicts_in_float32(
    make_run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cpu(monkeypatch, bfloat16=False)
    run = make_run("a", runtime__precision="bfloat16")
    _select(run, precision="bfloat16")
    sentences: list[str] = []

    model = vesuv.load(run.path, say=sentences.append)

    assert model.machine.precision == "float32"
    assert sentences == [
        "precision float32; the selection was judged in bfloat16, which the device cpu lacks"
    ]


def test_best_json_carries_the_precision_too(
    make_run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _cpu(monkeypatch, bfloat16=True)
    run = make_run("a")
    member = {"run": str(run.path), "checkpoint": "best", "checkpoint_sha256": "x"}
    content = {
        "version": 1,
        "members": [member],
        "threshold": 0.5,
        "postprocess": [],
        "inference": {"precision": "bfloat16"},
    }
    path = tmp_path / "best.json"
    path.write_text(json.dumps(content))

    assert [one.config.runtime.precision for one in open_best(path)] == ["bfloat16"]
    (changed,) = open_best(path, ["runtime.precision=float32"])
    assert changed.precision_note is not None

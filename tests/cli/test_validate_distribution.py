from __future__ import annotations

import json
import shutil
from html import unescape
from pathlib import Path

import pytest

from tests.cli.conftest import Refused, Run
from vesuv.runs.folder import RunFolder


@pytest.fixture
def folder(trained_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the trained run that a test may change; the prepared data stay shared."""
    shutil.copytree(trained_run.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def _print(run: Run, capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    capsys.readouterr()
    run("validate_distribution", *words)
    return capsys.readouterr().out.splitlines()


def test_the_table_the_choice_and_how_sure_it_is_are_printed(
    folder: RunFolder, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    small = "selection.postprocess=[[{name: remove_small, voxels: 20}]]"
    words = ("--run", folder.path, "--checkpoint", "best", "--set", small)

    page = folder.path / "report.html"
    assert "not selected yet" in page.read_text()

    lines = _print(run, capsys, *words, "selection.thresholds=[0.05, 0.5]")

    selected = json.loads(folder.selected_file.read_text())
    assert selected["why"] in unescape(page.read_text()), "the page is written anew"
    text = "\n".join(lines)
    assert "2 held-out cases, whole volumes" in text
    for candidate in ("best at threshold 0.5 ", "best at threshold 0.5, remove small 20 voxels "):
        assert candidate in text
    (chosen,) = (line for line in lines if " * " in line)
    assert f"{selected['dice']:.4f}" in chosen and f"{selected['gap']:.2%}" in chosen
    assert f"selected {selected['why']}" in lines
    assert f"margin over the next best, {selected['margin']['over']}: dice " in text
    for group in selected["groups"]:
        assert f"group {group['group']}: 1 case, Dice {group['dice']:.4f}, predicted " in text
    assert (
        "honest estimate, chosen without and scored on each group in turn: "
        f"dice {selected['honest']['dice']:.4f}, gap {selected['honest']['gap']:.4f}" in lines
    )
    calibration = selected["calibration"]
    assert (
        f"temperature {calibration['temperature']:g} for predict --calibrated: expected "
        f"calibration error {calibration['error_before']:.4f} without it, "
        f"{calibration['error']:.4f} with it; honest estimate, chosen without and measured on "
        f"each group in turn: {calibration['honest']['error']:.4f}"
    ) in lines
    assert lines[-2:] == [
        f"written: {folder.selected_file}; tables and figures in {folder.distribution}; "
        f"pages anew: {folder.path / 'report.html'}",
        f"next: vesuv predict --run {folder.path} --input ... --output ...",
    ]


def test_what_is_not_done_again_is_said(
    folder: RunFolder, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(folder.checkpoint("ema"), folder.checkpoint("swa"))
    words = ("--run", folder.path, "--checkpoint", "ema", "swa")

    assert "swa: the same weights as ema, not measured again" in _print(run, capsys, *words)
    lines = _print(run, capsys, *words)
    assert f"{folder.path}: ema: 2 of 2 cases were predicted before" in lines


def test_the_short_words_reach_the_selection(folder: RunFolder, run: Run) -> None:
    run(
        "validate_distribution", "--run", folder.path, "--checkpoint", "best",
        "--overlap", "0", "--views", "mirror", "--device", "cpu",
    )  # fmt: skip

    inference = json.loads(folder.selected_file.read_text())["inference"]
    assert (inference["overlap"], inference["views"]) == (0.0, "mirror")


def test_a_run_that_cannot_be_used_is_one_sentence(tmp_path: Path, refused: Refused) -> None:
    said = refused("validate_distribution", "--run", tmp_path)

    assert said.startswith(f"error: {tmp_path}: not a run folder") and said.count("\n") == 1

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Refused, Run
from vesuv.runs.folder import RunFolder


def test_the_table_the_best_and_the_files_are_printed(
    trained_run: RunFolder,
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    for name, checkpoint in (("a", "best"), ("b", "ema")):
        folder = RunFolder(tmp_path / name / "fold_0")
        shutil.copytree(trained_run.path, folder.path)
        shutil.copy(trained_run.checkpoint(checkpoint), folder.checkpoint("best"))
    output = tmp_path / "results/best.json"
    runs = [tmp_path / name / "fold_0" for name in "ab"]
    capsys.readouterr()

    run("find_best", "--run", *runs, "--checkpoint", "best", "--output", output)

    best = json.loads(output.read_text())
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split("│")[1:-1] for line in lines if line.startswith("│")]
    assert "2 held-out cases, best first" in "\n".join(lines)
    assert [[cell.strip() for cell in row[:3]] for row in rows] == [
        [row["system"], row["chosen"], f"{row['gap']:.4f}"] for row in best["table"]
    ]
    assert lines[-2:] == [
        f"best: {best['name']}: {best['why']}",
        f"written: {output}, {output.with_suffix('.csv')}",
    ]


def test_a_file_of_another_kind_is_refused(make_run, tmp_path: Path, refused: Refused) -> None:
    run = make_run("a")

    said = refused("find_best", "--run", run.path, "--output", tmp_path / "best.yaml")

    assert said.startswith("error: --output: must end in .json") and said.count("\n") == 1

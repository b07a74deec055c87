"""The verbs of curves, one after the other."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., None]
Refused = Callable[..., str]

CONFIG = """
task: curves
logs: {root: logs, folds: 2}
strips: {rows: 40, columns: 360, batch_size: 2}
detector: {filters: [8, 8, 8, 8], width: 16, heads: 2, encoder_layers: 1, decoder_layers: 1,
  feedforward: 16, queries: 4}
train: {epochs: 1, steps_per_epoch: 2, validate_every: 1}
scheduler: {name: poly, warmup_epochs: 0}
picking: {threshold: 0.0}
runtime: {threads: 1, device: cpu}
"""


@pytest.fixture
def folder(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    words = ["--wells", 2, "--rows", 200, "--per-strip", 6, "--seed", 3]
    run("curves", "phantom", "--output", "logs", *words)
    Path("c.yaml").write_text(CONFIG)
    return tmp_path


def test_logs_are_trained_picked_scored_and_judged(
    folder: Path, run: Run, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    run("curves", "train", "--config", "c.yaml", "--fold", 0, "--dry-run")
    assert not Path("log").exists()
    run("curves", "train", "--config", "c.yaml", "--fold", 0)
    trained = "log/c/fold_0"
    assert "F1 ±2" in capsys.readouterr().out
    run("curves", "train", "--config", "c.yaml", "--fold", 0, "--resume")

    run("curves", "predict", "--run", trained, "--input", "logs", "--output", "out", "--pictures")
    with Path("out/picks/well_00.csv").open() as file:
        picks = list(csv.DictReader(file))
    assert picks
    assert set(picks[0]) == {"depth", "dip", "azimuth", "kind", "score"}
    with Image.open("out/well_00.png") as picture:
        assert picture.size == (3 * 360 + 2 * 12, 200)

    run("curves", "evaluate", "--predictions", "out", "--labels", "logs")
    run("curves", "evaluate", "--predictions", "logs", "--labels", "logs", "--output", "self")
    assert json.loads(Path("self/summary.json").read_text())["pooled"]["f1_all@1"] == 1.0
    assert json.loads(Path("out/summary.json").read_text())["num_logs"] == 2
    assert "not counted" not in capsys.readouterr().out
    Path("out/picks/well_01.csv").unlink()
    run("curves", "evaluate", "--predictions", "out", "--labels", "logs", "--output", "one")
    assert "not counted, as without a prediction: well_01\n" in capsys.readouterr().out
    summary = json.loads(Path("one/summary.json").read_text())
    assert (summary["num_logs"], summary["labels_without_prediction"]) == (1, ["well_01"])

    Path(f"{trained}/report.html").unlink()
    capsys.readouterr()
    run("curves", "diagnose", "--run", trained)
    assert "page: log/c/fold_0/report.html" in capsys.readouterr().out
    assert Path(f"{trained}/report.html").is_file()

    assert "holds picks already; --overwrite" in refused(
        "curves", "predict", "--run", trained, "--input", "logs", "--output", "out"
    )
    assert "must not lie in or hold logs" in refused(
        "curves", "predict", "--run", trained, "--input", "logs", "--output", "logs/out"
    )
    assert "task: curves" in refused("predict", "--run", trained, "--input", "a", "--output", "b")


def test_the_hough_transform_of_the_masks_themselves_finds_most_picks(
    folder: Path, run: Run, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    run("curves", "masks", "--config", "c.yaml", "--output", "flat")
    said = capsys.readouterr().out
    assert "2 cases, 2 of them with foreground" in said
    with Image.open("flat/train_labels/well_00.png") as label:
        assert np.unique(np.asarray(label)).tolist() == [0, 1, 2]

    masks = ["--masks", "flat/train_labels", "--output", "baseline"]
    run("curves", "hough", "--input", "logs", *masks)
    run("curves", "evaluate", "--predictions", "baseline", "--labels", "logs")
    assert json.loads(Path("baseline/summary.json").read_text())["pooled"]["f1@2"] > 0.7

    assert "must not lie in the logs" in refused(
        "curves", "masks", "--config", "c.yaml", "--output", "logs/flat"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "--config", "c.yaml", "--fold", 5], "--fold: must be from 0 to 1, found 5"),
        (["train", "--config", "c.yaml", "--fold", 0, "--set", "trian.epochs=3"], "train"),
        (["train", "--config", "c.yaml", "--fold", 0, "--resume"], "no run to resume"),
        (["predict", "--run", "logs", "--input", "logs", "--output", "a"], "not a run folder"),
        (["diagnose", "--run", "nowhere"], "not a run folder"),
        (["evaluate", "--predictions", "flat", "--labels", "logs"], "has no picks/<id>.csv"),
        (["evaluate", "--predictions", "a", "--labels", "b"], "b/wells.csv: no such file"),
        (["phantom", "--output", "logs"], "holds wells.csv already"),
        (["phantom", "--output", "x", "--rows", 5], "--rows"),
    ],
)
def test_bad_input_is_one_sentence(
    folder: Path, refused: Refused, words: list[object], sentence: str
) -> None:
    said = refused("curves", *words)

    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_training_by_torchrun_is_refused_in_one_sentence(folder: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = Path(__file__).parents[2] / "bin/curves.py"
    words = ["train", "--config", "c.yaml", "--fold", "0"]

    done = subprocess.run([*launch, script, *words], capture_output=True, text=True, check=False)

    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said == [
        f"error: python {script} train: trains in one process, found 2; start it without "
        "torchrun, and other folds beside it"
    ]
    assert not Path("log").exists()


def test_segmentation_refuses_a_configuration_of_curves(folder: Path, refused: Refused) -> None:
    said = refused("train", "--config", "c.yaml", "--fold", 0)

    assert (
        said
        == "error: c.yaml: is of curves in image logs (task: curves); see vesuv curves --help\n"
    )

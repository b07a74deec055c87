"""Both kinds of several classes through the whole chain: two layers that touch, and regions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml

from vesuv.cli import main

CLASSES = {"air": 0, "recto": 1, "verso": 3}
REGIONS = {"papyrus": ["recto", "verso"], "recto": ["recto"]}


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers") / "data"
    words = ["--cases", "3", "--held-out", "1", "--size", "36", "--layers"]
    main(["phantom", "--output", str(folder), *words])
    return folder


def configuration(phantom: Path, folder: Path, labels: dict[str, Any]) -> Path:
    tree = {
        "data": {"root": str(phantom), "store": str(folder / "store"), "folds": {"num": 3}},
        "labels": {"classes": CLASSES, "ignore": 2, **labels},
        "sampling": {"patch_size": [24, 24, 24], "batch_size": 2},
        "augment": {"rotation": {"p": 0.0}, "scaling": {"p": 0.0}, "low_resolution": {"p": 0.0}},
        "model": {"name": "plain_unet", "filters": 8, "depth": 2},
        "phases": [{"epochs": [0, None], "weights": {"dice": 1.0, "cross_entropy": 1.0}}],
        "train": {"epochs": 2, "steps_per_epoch": 30},
        "optimizer": {"name": "adamw", "lr": 5.0e-3},
        "scheduler": {"name": "poly", "warmup_epochs": 0},
        "validation": {"tiles": 3},
        "diagnosis": {"enabled": False},
        "selection": {"tolerance": 1.0, "thresholds": [0.3, 0.5, 0.7]},
        "runtime": {"device": "cpu", "precision": "float32", "workers": 0, "threads": 1},
    }
    file = folder / "layers.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


@pytest.mark.slow
@pytest.mark.parametrize(
    ("labels", "judged"),
    [
        ({}, {"recto": [1], "verso": [3]}),
        ({"regions": REGIONS}, {"papyrus": [1, 3], "recto": [1]}),
    ],
    ids=["classes", "regions"],
)
def test_what_is_trained_is_selected_predicted_and_scored(
    phantom: Path,
    tmp_path: Path,
    labels: dict[str, Any],
    judged: dict[str, list[int]],
) -> None:
    run, out, scored = tmp_path / "run", tmp_path / "out", tmp_path / "scores"
    config = configuration(phantom, tmp_path, labels)

    main(["train", "--config", str(config), "--fold", "0", "--output", str(run)])
    main(["validate_distribution", "--run", str(run)])
    images = str(phantom / "test_images")
    main(["predict", "--run", str(run), "--input", images, "--output", str(out)])
    words = ["--predictions", str(out), "--labels", str(phantom / "test_labels")]
    main(["evaluate", *words, "--output", str(scored)])

    (file,) = out.glob("*.tif")
    mask = tifffile.imread(file)
    label = tifffile.imread(phantom / "test_labels" / file.name)
    assert set(np.unique(mask)) == {0, 1, 3}
    with (scored / "scores.csv").open() as text:
        (row,) = csv.DictReader(text)
    valid = label != 2
    for name, values in judged.items():
        a, b = np.isin(mask[valid], values), np.isin(label[valid], values)
        dice = 2 * (a & b).sum() / (a.sum() + b.sum())
        assert float(row[f"dice[{name}]"]) == pytest.approx(dice, abs=1e-6)
        assert dice > 0.5
    selected = json.loads((run / "selected.json").read_text())
    assert list(selected["classes"]) == list(judged)
    with (run / "metrics.csv").open() as text:
        last = list(csv.DictReader(text))[-1]
    assert all(0.0 < float(last[f"val/dice[{name}]"]) < 1.0 for name in judged)
    assert all(name in (run / "report.html").read_text() for name in judged)

"""A run of the first version: it opens, goes on, predicts and is judged as it was then."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

import vesuv
from vesuv.config import load_config
from vesuv.data.store import Store
from vesuv.inference.repeat import open_recorded
from vesuv.runs.history import RunHistory

FORMER = Path(__file__).parent / "data/former_run.zip"
_TIMES = ("seconds", "patches_per_second", "loader_wait_share")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The former run's folder; the configuration names its data by relative paths."""
    with zipfile.ZipFile(FORMER) as archive:
        archive.extractall(tmp_path)
    for path, (_, time) in Store.open(tmp_path / "store").sources.items():
        os.utime(tmp_path / "data" / path, ns=(time, time))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [
            {k: float(v) for k, v in row.items() if v and k not in _TIMES}
            for row in csv.DictReader(file)
        ]


def test_it_is_read_as_it_was_written(folder: Path) -> None:
    history = RunHistory.read(folder / "run")

    assert history.metrics.last_epoch == 2
    assert history.facts is not None and history.facts.validation_cases
    assert len(history.observations) == 3
    assert history.config == load_config("old.yaml").model_copy(
        update={"name": history.config.name}
    )
    names = [finding.name for finding in vesuv.diagnose(folder / "run")]
    assert names == [
        finding["name"]
        for finding in json.loads((folder / "run/diagnosis.json").read_text())["findings"]
    ]


def test_it_goes_on_as_if_it_had_never_stopped(folder: Path) -> None:
    config = load_config(folder / "old.yaml", ["train.epochs=5"])

    vesuv.train(config, output=folder / "run", resume=True)

    whole, resumed = rows(folder / "run5/metrics.csv"), rows(folder / "run/metrics.csv")
    assert len(whole) == len(resumed) == 5
    # Equal but for another processor's rounding. Since then warped patches repeat the faces of the
    # volume around it, where zeros stood: a gradient of epoch 4 is smaller by 0.4 %. And clDice
    # leaves out one voxel more beside ignored ones: it is greater by 1 %.
    for one, other in zip(whole, resumed, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            margin = 0.02 if name == "train/loss_cldice" else 5e-3
            assert other[name] == pytest.approx(value, rel=margin, abs=1e-5), name


def test_its_masks_are_those_of_then(folder: Path) -> None:
    model = vesuv.load(folder / "run")

    for path in sorted((folder / "predictions").glob("*.tif")):
        image = tifffile.imread(folder / "data/train_images" / path.name)
        assert np.mean(model.segment(image) == tifffile.imread(path)) > 0.999


def test_its_prediction_is_repeated_from_its_record(folder: Path) -> None:
    record = folder / "predictions/provenance.json"
    record.write_text(record.read_text().replace("/tmp/old_run", str(folder)))

    predictor = open_recorded(record).predictor

    image = tifffile.imread(folder / "data/train_images/c1.tif")
    former = tifffile.imread(folder / "predictions/c1.tif")
    assert np.mean(predictor.segment(image) == former) > 0.999


def test_its_selection_is_that_of_then(folder: Path) -> None:
    former = json.loads((folder / "run/selected.json").read_text())

    vesuv.validate_distribution([folder / "run"])

    now = json.loads((folder / "run/selected.json").read_text())
    for key in ("checkpoint", "threshold", "postprocess", "checkpoint_sha256"):
        assert now[key] == former[key]
    for key in ("dice", "gap", "predicted_fraction"):
        assert now[key] == pytest.approx(former[key], abs=1e-4)
    assert now["honest"]["dice"] == pytest.approx(former["honest"]["dice"], abs=1e-4)

"""nnU-Net data as it is: from its folder to a trained run, with a configuration of a few keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml

from tests.cli.conftest import Refused, Run
from vesuv.cli.prepare import open_or_prepare
from vesuv.config import load_config
from vesuv.runs.folder import RunFolder

NAMES = ("Fall 1", "Fäll_2", "c3", "004")
TRAINED: dict[str, Any] = {
    "sampling": {"patch_size": [16, 16, 16], "batch_size": 2},
    "model": {"filters": 4, "depth": 2},
    "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
    "train": {"epochs": 1, "steps_per_epoch": 2},
    "validation": {"tiles": 2},
    "runtime": {"device": "cpu", "precision": "float32", "threads": 1},
}


def data_set(root: Path, **content: Any) -> Path:
    """Two channels, three nested balls, two ignored slices."""
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    z, y, x = np.mgrid[:20, :20, :20]
    for number, name in enumerate(NAMES):
        rng = np.random.default_rng(number)
        radius = np.sqrt((z - 10) ** 2 + (y - 10) ** 2 + (x - 8 - number) ** 2)
        label = sum((radius < edge).astype(np.uint8) for edge in (8, 6, 4))
        images = [30 * label + rng.normal(0, 5, label.shape) * (k + 1) for k in (0, 1)]
        label[:2] = 4
        for k, image in enumerate(images):
            file = nibabel.Nifti1Image(image.astype(np.float32), np.eye(4))
            nibabel.save(file, root / "imagesTr" / f"{name}_000{k}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), root / "labelsTr" / f"{name}.nii.gz")
    description = {
        "channel_names": {"0": "T1", "1": "FLAIR"},
        "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "hot": 3, "ignore": 4},
        "regions_class_order": [1, 2, 3],
        "numTraining": 4,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
        "dataset": {"ignored": {}},
    }
    (root / "dataset.json").write_text(json.dumps(description | content))
    return root


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "raw"))
    data_set(tmp_path / "raw" / "Dataset004_Brain")
    data = {"root": "004", "layout": "nnunet", "folds": {"num": 2}}
    path = tmp_path / "brain.yaml"
    path.write_text(yaml.safe_dump({"data": data} | TRAINED))
    return path


def test_data_are_prepared_and_trained_without_labels_and_channels(
    config: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("prepare", "--config", config)
    out = capsys.readouterr().out
    assert "label values: 0 background" in out
    assert "3 hot" in out
    assert "numTraining" not in out
    assert "log/prepared/brain: 4 cases, prepared" in out

    run("train", "--config", config, "--fold", "0")

    recorded = RunFolder.open(tmp_path / "log" / "brain" / "fold_0").config
    assert recorded.model.in_channels == 2
    assert recorded.model.out_channels == 3
    assert recorded.labels.names == ["background", "label 1", "label 2", "hot"]
    assert recorded.labels.targets.names == ("whole", "core", "hot")
    assert recorded.labels.ignore == 4
    assert recorded.data.root == str(tmp_path / "raw" / "Dataset004_Brain")


@pytest.mark.slow
def test_a_run_goes_on_without_its_raw_data(
    config: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("train", "--config", config, "--fold", "0")
    folder = tmp_path / "log" / "brain" / "fold_0"
    resume = ("--fold", "0", "--resume", "--set")
    run("train", "--config", config, *resume, "train.epochs=2")
    assert "in_channels" not in capsys.readouterr().out
    (tmp_path / "raw" / "Dataset004_Brain").rename(tmp_path / "elsewhere")

    run("train", "--config", folder / "config.yaml", *resume, "train.epochs=3")

    assert RunFolder.open(folder).config.train.epochs == 3


def test_written_channels_are_checked_when_data_are_prepared(
    config: Path, tmp_path: Path, run: Run, refused: Refused
) -> None:
    one = ("prepare", "--config", config, "--set", "model.in_channels=1")
    assert "model.in_channels: must equal the 2 channel_names (T1, FLAIR) of " in refused(*one)
    file = tmp_path / "raw" / "Dataset004_Brain" / "dataset.json"
    content = json.loads(file.read_text())
    del content["channel_names"]
    file.write_text(json.dumps(content))
    sentence = (
        "model.in_channels: must equal the images' channels (2 in case 004, 3 more cases differ "
        "too), found 1; correct it, or leave it out"
    )
    assert refused(*one) == f"error: {sentence}\n"
    assert refused(*one, "--dry-run") == f"error: {sentence}\n"

    run("prepare", "--config", config, "--set", "model.in_channels=2")
    assert refused(*one) == f"error: {sentence}\n"
    assert refused("train", *one[1:], "--fold", "0") == f"error: {sentence}\n"


def test_the_folds_of_nnunet_are_taken_and_said(
    config: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "nnUNet_preprocessed" / "Dataset004_Brain" / "splits_final.json"
    file.parent.mkdir(parents=True)
    (tmp_path / "raw").rename(tmp_path / "nnUNet_raw")
    file.write_text(json.dumps([{"train": ["c3", "004"], "val": ["Fall 1", "Fäll_2"]}]))
    root = f"data.root={tmp_path / 'nnUNet_raw' / 'Dataset004_Brain'}"

    run("prepare", "--config", config, "--set", root)

    lines = capsys.readouterr().out.splitlines()
    rest = "not drawn by data.folds; 2 of 4 cases validate none"
    assert f"folds: 1 fold, read from {file}, {rest}" in lines
    run("train", "--config", config, "--fold", "0", "--set", root)
    facts = RunFolder.open(tmp_path / "log" / "brain" / "fold_0").facts
    assert facts.validation_cases == ("Fall 1", "Fäll_2")


def test_drawn_folds_beside_a_file_of_folds_are_said(
    config: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("prepare", "--config", config)
    file = tmp_path / "raw" / "Dataset004_Brain" / "splits_final.json"
    file.write_text(json.dumps([{"train": ["c3", "004"], "val": ["Fall 1", "Fäll_2"]}]))

    sentence = f"was drawn, {file} is not used; delete the first one"
    for words in (("prepare",), ("train", "--fold", 0, "--dry-run")):
        run(*words, "--config", config)
        assert sentence in capsys.readouterr().out, words
    store = open_or_prepare(load_config(config))  # as `train` opens the store
    assert sentence in capsys.readouterr().out

    (store.path / "folds.yaml").unlink()  # as the sentence advises
    run("train", "--fold", 0, "--dry-run", "--config", config)
    assert not (store.path / "folds.yaml").exists()


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_folds_of_unknown_cases_are_refused_before_anything_is_written(
    config: Path, tmp_path: Path, refused: Refused, dry: tuple[str, ...]
) -> None:
    file = tmp_path / "raw" / "Dataset004_Brain" / "splits_final.json"
    file.write_text(json.dumps([{"train": ["c3", "004"], "val": ["Fall 1", "Fäll_2", "zz"]}]))

    assert "case zz is not in the data set" in refused("prepare", "--config", config, *dry)
    assert not (tmp_path / "log").exists() or not list(tmp_path.glob("log/prepared/brain/*"))


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_another_number_of_cases_than_stated_is_a_note(
    config: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str], dry: tuple[str, ...]
) -> None:
    file = tmp_path / "raw" / "Dataset004_Brain" / "dataset.json"
    file.write_text(file.read_text().replace('"numTraining": 4', '"numTraining": 260'))

    run("prepare", "--config", config, *dry)

    assert "numTraining is 260, imagesTr holds 4 cases; all of them are used" in (
        capsys.readouterr().out
    )


def test_config_show_names_where_labels_and_channels_are_from(
    config: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("config", "show", config)

    rows = dict(line.split("  # ") for line in capsys.readouterr().out.splitlines())
    origins = {key.strip(): origin for key, origin in rows.items()}
    file = str(tmp_path / "raw" / "Dataset004_Brain" / "dataset.json")
    assert origins["labels.classes.hot=3"] == file
    assert origins["model.in_channels=1"] == "default; it follows from the data"
    assert origins["model.out_channels=3"] == "follows from labels"

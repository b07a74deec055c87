from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from vesuv.config import load_config
from vesuv.errors import InputError
from vesuv.io import formats
from vesuv.planning import sizing, speed, survey

Run = Callable[..., None]
Refused = Callable[..., str]
SHORT = ["train.epochs=1", "train.steps_per_epoch=1", "validation.tiles=1", "runtime.threads=1"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small steps and few seconds, in a folder of the test's own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sizing, "_SIZES", ((16, 16, False), (8, 16, False)))
    monkeypatch.setattr(speed, "_MAX_SECONDS", 0.0)
    monkeypatch.setattr(survey, "_MAX_SECONDS", 1.0)


def volume(number: int, shape: tuple[int, int, int] = (24, 24, 24)) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(number)
    label = (np.indices(shape).sum(axis=0) % 8 < 3).astype(np.uint8)
    image = (100 + 50 * label + rng.normal(0, 10, shape)).astype(np.int16)
    return image, label


def kaggle(root: Path) -> Path:
    for folder in ("train_images", "train_labels"):
        (root / folder).mkdir(parents=True)
    for number in range(4):
        image, label = volume(number)
        label[:2] = 2
        tifffile.imwrite(root / f"train_images/{number}.tif", image.astype(np.uint8))
        tifffile.imwrite(root / f"train_labels/{number}.tif", label)
    (root / "train.csv").write_text("id,scroll_id\n0,a\n1,a\n2,b\n3,b\n")
    return root


def nnunet(root: Path) -> Path:
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for number in range(3):
        image, label = volume(number)
        label[:4] *= 2
        for channel in range(2):
            formats.write(root / f"imagesTr/c{number}_{channel:04d}.nrrd", image)
        formats.write(root / f"labelsTr/c{number}.nrrd", label)
    labels = {"background": 0, "sheet": 1, "edge": 2}
    names = {"channel_names": {"0": "CT", "1": "CT"}, "labels": labels}
    (root / "dataset.json").write_text(
        json.dumps(names | {"numTraining": 3, "file_ending": ".nrrd"})
    )
    return root


def folders(root: Path) -> Path:
    for number in range(2):
        for folder, array in zip(("scans", "masks"), volume(number), strict=True):
            (root / folder).mkdir(parents=True, exist_ok=True)
            formats.write(root / folder / f"{number}.npy", array)
    return root


def pairs(root: Path) -> Path:
    root.mkdir()
    for word, array in zip(("image", "label"), volume(0, (10, 24, 40)), strict=True):
        formats.write(root / f"brain_{word}.nrrd", array)
    return root


def ome_zarr(root: Path) -> Path:
    image, label = volume(0, (24, 24, 48))
    like = formats.Volume(image, (2.0, 1.0, 1.0), None)
    path = root.with_suffix(".zarr")
    formats.write(path, image, like)
    (path / "labels").mkdir()
    formats.write(path / "labels" / "sheet.zarr", label, like)
    (path / "labels" / "sheet.zarr").rename(path / "labels" / "sheet")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("make", [kaggle, nnunet, folders, pairs, ome_zarr])
def test_what_is_written_trains_as_it_is(
    make: Callable[[Path], Path],
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = make(tmp_path / "data")

    run("init", root)

    said = capsys.readouterr().out
    for topic in ("layout:", "labels:", "spacing:", "normalisation:", "patch:", "network:"):
        assert f"\n{topic}" in f"\n{said}"
    assert "written: data.yaml; next: vesuv train --config data.yaml --fold 0" in said
    run("train", "--config", "data.yaml", "--fold", "0", "--set", *SHORT)
    assert Path("log/data/fold_0/checkpoints/last.pt").is_file()


def test_labels_and_layout_of_the_kaggle_folder(tmp_path: Path, run: Run) -> None:
    run("init", kaggle(tmp_path / "data"), "--minutes", "2", "--output", "my.yaml")

    config = load_config("my.yaml")
    assert config.name == "my"
    assert config.data.layout == "kaggle"
    assert config.labels.classes == {"background": 0, "surface": 1}
    assert config.labels.ignore == 2
    assert (config.data.folds.num, config.data.folds.by) == (4, "stratified")
    assert config.runtime.max_minutes == 2.0


def test_nnunet_data_keep_their_names_and_channels(tmp_path: Path, run: Run) -> None:
    run("init", nnunet(tmp_path / "data"))

    config = load_config("data.yaml")
    assert config.labels.classes == {"background": 0, "sheet": 1, "edge": 2}
    assert (config.model.in_channels, config.model.out_channels) == (2, 3)
    assert config.data.normalize.name == "percentile"


def test_a_file_that_exists_is_replaced_only_when_told_so(
    tmp_path: Path, run: Run, refused: Refused
) -> None:
    root = folders(tmp_path / "data")
    Path("data.yaml").write_text("mine")

    assert "data.yaml exists already; --overwrite replaces it" in refused("init", root)
    assert Path("data.yaml").read_text() == "mine"

    run("init", root, "--overwrite")
    assert load_config("data.yaml").data.layout == "folders"


def test_a_dry_run_writes_nothing(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run("init", folders(tmp_path / "data"), "--dry-run")

    assert "would write: data.yaml" in capsys.readouterr().out
    assert not list(Path().iterdir())


def test_bad_input_is_refused_in_a_sentence(tmp_path: Path, refused: Refused) -> None:
    root = folders(tmp_path / "data")

    assert "gone: no such folder; name the folder of the raw data" in refused("init", "gone")
    assert "one of these layouts: " in refused("init", tmp_path / "here")
    assert "ends in .yaml, found my.txt" in refused("init", root, "--output", "my.txt")
    (tmp_path / "here" / "folder.yaml").mkdir()
    assert "folder.yaml is a folder" in refused("init", root, "--output", "folder.yaml")
    (tmp_path / "here" / "file").touch()
    assert "file is a file; name a folder" in refused("init", root, "--output", "file/a.yaml")
    assert "--memory: the smallest proposal takes" in refused("init", root, "--memory", "0.1")
    assert "--minutes" in refused("init", root, "--minutes", "0")


def test_the_network_that_is_asked_for_is_planned(
    tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planned(_source: object, _minutes: float, _memory: float | None, network: str) -> None:
        raise InputError(f"planned: {network}")

    monkeypatch.setattr("vesuv.cli.init.plan", planned)
    root = folders(tmp_path / "data")

    assert "planned: auto" in refused("init", root)
    asked = refused("init", root, "--network", "residual_encoder_unet")
    assert "planned: residual_encoder_unet" in asked
    assert "--network" in refused("init", root, "--network", "unet")

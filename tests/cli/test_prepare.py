from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.conftest import write_tiny_config
from vesuv.cli import main


@pytest.fixture
def config_file(tiny_data: Path, tmp_path: Path) -> Path:
    return write_tiny_config(tiny_data, tmp_path)


def run(*arguments: str) -> None:
    main(list(arguments))


def test_prepare_prints_what_the_labels_hold(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("prepare", "--config", str(config_file))

    first = capsys.readouterr().out
    assert "label values: 0 background" in first
    assert "2 ignore 9.77%" in first
    assert "16x16x16 patches" in first
    assert [line.split()[1] for line in first.splitlines() if line.startswith("│")] == [
        "0",
        "1",
        "all",
    ]
    assert "store: 4 cases, prepared (" in first

    run("prepare", "--config", str(config_file))

    assert "store: 4 cases, is up to date (" in capsys.readouterr().out


def test_folds_that_are_drawn_again_are_said(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("prepare", "--config", str(config_file))
    (config_file.parent / "raw" / "train.csv").write_text("id,scroll_id\nc0,1\nc1,1\n")

    run("prepare", "--config", str(config_file), "--overwrite")

    assert "folds.yaml is drawn again: " in capsys.readouterr().out


def test_cases_without_foreground_are_counted(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = config_file.parent / "raw" / "train_labels"
    (config_file.parent / "raw" / "train.csv").write_text("id\nc0\nc1\n")
    tifffile.imwrite(labels / "c1.tif", np.zeros((32, 32, 32), np.uint8))

    run("prepare", "--config", str(config_file))

    said = capsys.readouterr().out
    assert "1 of 2 cases hold no foreground, first c1" in said
    assert [line.split()[1] for line in said.splitlines() if line.startswith("│")][-3:] == [
        "c0",
        "c1",
        "all",
    ]


def test_images_whose_content_is_lost_are_warned_of(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = config_file.parent / "raw"
    (raw / "train.csv").write_text("id\nc0\nc1\nc2\nc3\n")
    tifffile.imwrite(raw / "train_labels" / "c3.tif", np.zeros((32,) * 3, np.uint8))
    for case, *steps in (("c0", 99, 99), ("c1", 0, 0), ("c2", 9, 99), ("c3", 99, 0)):
        image = [100_000_000 + step * np.arange(32, dtype=np.int32) for step in steps]
        volume = np.broadcast_to(np.reshape(image, (2, 1, 1, 32)), (2, 32, 32, 32))
        tifffile.imwrite(raw / "train_images" / f"{case}.tif", volume)  # float32 has steps of 8

    run("prepare", "--config", str(config_file), "--set", "model.in_channels=2")

    said = " ".join(capsys.readouterr().out.split())
    assert "warning: 1 of 4 images hold one value alone, first c1: nothing can be learned" in said
    assert "warning: 1 of 4 images hold one value alone in a channel, first c3 in channel 1" in said
    assert "warning: 1 of 4 images lie so far from 0, first c2, that fewer than 256 float32" in said


def test_train_prints_the_summary_when_it_prepares_and_only_then(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(config_file), "--fold", "0", "--set", "train.epochs=1"]
    arguments += ["--output", str(config_file.parent / "run")]

    run("train", *arguments)
    assert "label values: 0 background" in capsys.readouterr().out

    run("train", *arguments, "--overwrite")
    assert "label values" not in capsys.readouterr().out


def test_a_patch_larger_than_the_volumes_is_warned_of(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    warning = (
        "warning: sampling.patch_size [16, 40, 16] is larger than the median volume (32x32x32) "
        "along y: the rest of each patch is padding; lower it"
    )

    run("prepare", "--config", str(config_file))
    assert "warning" not in capsys.readouterr().out

    run("prepare", "--config", str(config_file), "--set", "sampling.patch_size=[16, 40, 16]")
    assert warning in capsys.readouterr().out

"""vesuv pretrain: what it prints and refuses, and training from its run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Refused, Run
from tests.conftest import tiny_tree

Output = pytest.CaptureFixture[str]
SHORT = ("train.epochs=1", "train.steps_per_epoch=1", "diagnosis.enabled=false")


@pytest.fixture
def mine(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(tiny_tree(tiny_data, Path("store"))))
    return file


def test_a_pretraining_goes_on_and_a_run_starts_from_it(
    mine: Path, tiny_data: Path, run: Run, capsys: Output
) -> None:
    volumes = tiny_data / "train_images"
    block = "pretrain.block_size=8"
    run("pretrain", "--config", mine, volumes, "--set", *SHORT, block)

    printed = capsys.readouterr().out
    assert "4 unlabelled volumes in " in printed and "store_unlabelled_" in printed
    assert "next: vesuv train --pretrained log/tiny/pretrain" in printed
    run("pretrain", "--config", mine, "--resume", "--set", "train.epochs=2")
    assert "Resumed at step 0." in Path("log/tiny/pretrain/train.log").read_text()

    run(
        "train", "--config", mine, "--fold", 0, "--pretrained", "log/tiny/pretrain", "--set", *SHORT
    )
    record = json.loads(Path("log/tiny/fold_0/run.json").read_text())["pretrained"]
    assert record["task"] == "reconstruction"
    assert record["left_out"] == ["output.weight", "output.bias"]

    capsys.readouterr()
    run("probe", "--config", mine, "--pretrained", "log/tiny/pretrain", "--output", "probe.json")
    printed = capsys.readouterr().out
    content = json.loads(Path("probe.json").read_text())
    assert [score["families"] for score in content["scores"]][:4] == [
        "geometric",
        "textural",
        "contextual",
        "contextual, random weights",
    ]
    assert " ".join(content["sentence"].split()) in " ".join(printed.split())


def test_a_dry_run_reads_and_writes_nothing(
    mine: Path, tiny_data: Path, run: Run, capsys: Output
) -> None:
    run("pretrain", "--config", mine, tiny_data / "train_images", "--dry-run")

    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "would read: 4 volumes"
    assert printed[2] == "would write: log/tiny/pretrain"
    assert list(mine.parent.iterdir()) == [mine]


def test_missing_volumes_and_weights_that_do_not_fit_are_refused(
    mine: Path, tiny_data: Path, run: Run, refused: Refused
) -> None:
    assert "DATA: needs at least one volume" in refused("pretrain", "--config", mine)
    assert "gone: no such file or folder" in refused("pretrain", "--config", mine, "gone")
    run("pretrain", "--config", mine, tiny_data / "train_images", "--set", *SHORT)
    other = ("model={name: segresnet, filters: 8, blocks_down: [1, 1], blocks_up: [1]}", *SHORT)
    error = refused(
        "train", "--config", mine, "--fold", 0, "--pretrained", "log/tiny/pretrain", "--set", *other
    )
    assert "no tensor of" in error and "fits this network" in error

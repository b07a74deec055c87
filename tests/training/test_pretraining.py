"""Masked reconstruction of unlabelled volumes, and runs that start from its weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from tests.conftest import tiny_tree
from tests.training.test_trainer import changed, rows, same, untimed, weights
from vesuv.config import Config, check
from vesuv.data.labels import IGNORE
from vesuv.errors import InputError, InputErrors, Interrupted
from vesuv.inference.load import load
from vesuv.runs.folder import RunFolder
from vesuv.runtime.interruption import StopRequest
from vesuv.selection.held_out import open_held_out
from vesuv.training.pretraining import (
    find_unlabelled,
    prepare_unlabelled,
    pretrain,
    unlabelled_store,
)
from vesuv.training.train import train

SHORT = {"epochs": 2, "steps_per_epoch": 3}
ONE_STEP = {"epochs": 1, "steps_per_epoch": 1}


@pytest.fixture(scope="module")
def config(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The tiny configuration with blocks of 8³, and stores that the tests here share."""
    tree = tiny_tree(tiny_data, tmp_path_factory.mktemp("stores") / "store")
    return changed(check(tree, "tiny"), train=SHORT, pretrain={"block_size": 8})


@pytest.fixture(scope="module")
def volumes(tiny_data: Path) -> Path:
    return tiny_data / "train_images"


@pytest.fixture(scope="module")
def source(config: Config, volumes: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A short pre-training; nothing here writes into it."""
    return pretrain(config, [volumes], output=tmp_path_factory.mktemp("runs") / "source").folder


def test_the_network_learns_masked_blocks_and_leaves_a_picture(
    config: Config, volumes: Path, tmp_path: Path
) -> None:
    longer = changed(config, train={"epochs": 4, "steps_per_epoch": 8})

    run = pretrain(longer, [volumes], output=tmp_path / "run").folder

    losses = [float(row["val/loss_reconstruction"]) for row in rows(run)]
    explained = [float(row["val/explained_variance"]) for row in rows(run)]
    assert losses[-1] < losses[0] and explained[-1] > max(0.0, explained[0])
    picture = np.asarray(Image.open(run.path / "reconstruction.png"))
    assert picture.shape == (3 * 16, 3 * 16)  # three tiles: input, masked, reconstruction
    assert (picture[:16, 16:32] == 0).mean() >= 0.5
    log = (run.path / "train.log").read_text()
    assert "Reconstruction of masked blocks: 75% of blocks of 8³ voxels" in log
    assert f"train --pretrained {run.path}" in log
    assert "--set optimizer.lr=0.0005 scheduler.warmup_epochs=1" in log
    assert "explained variance" in (run.path / "report.html").read_text()


def test_a_run_that_a_signal_stopped_goes_on_as_if_it_had_not(
    config: Config,
    source: RunFolder,
    volumes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks = iter(range(1, 100))
    check_signal = StopRequest.check

    def stop_once(request: StopRequest) -> None:
        if next(checks) == 3:
            request.signal_name = "SIGTERM"
        check_signal(request)

    monkeypatch.setattr(StopRequest, "check", stop_once)
    with pytest.raises(Interrupted, match="epoch 0: Stopped by SIGTERM and saved at step 2"):
        pretrain(config, [volumes], output=tmp_path / "run")
    run = pretrain(config, output=tmp_path / "run", resume=True).folder

    assert untimed(run) == untimed(source)
    assert same(weights(run, "last"), weights(source, "last"))
    with pytest.raises(InputError, match=r"--resume: goes on with the volumes of .*run, found"):
        pretrain(config, [volumes], output=run.path, resume=True)


def test_a_run_starts_from_all_but_the_output_layer(
    config: Config, source: RunFolder, tmp_path: Path
) -> None:
    still = changed(
        config,
        train={**ONE_STEP, "pretrained": str(source.path)},
        optimizer={"name": "sgd", "lr": 1e-30, "weight_decay": 0.0},
    )

    run = train(still, output=tmp_path / "run").folder

    theirs, ours = weights(source, "best"), weights(run, "last")
    assert not torch.allclose(ours["output.weight"], theirs["output.weight"])
    for name in set(ours) - {"output.weight", "output.bias"}:
        assert torch.allclose(ours[name], theirs[name], atol=1e-20), name
    record = json.loads((run.path / "run.json").read_text())["pretrained"]
    assert record["left_out"] == ["output.weight", "output.bias"]
    assert (record["task"], record["loaded"]) == ("reconstruction", 24)
    log = (run.path / "train.log").read_text()
    assert "pretrained: left out: output.weight, output.bias" in log


def test_only_the_layers_asked_for_are_loaded(
    config: Config, source: RunFolder, tmp_path: Path
) -> None:
    section = {"pretrained": str(source.checkpoint("last")), "pretrained_layers": ["encoder"]}
    wanted = changed(config, train={**ONE_STEP, **section})

    run = train(wanted, output=tmp_path / "run").folder

    left_out = json.loads((run.path / "run.json").read_text())["pretrained"]["left_out"]
    assert {name.partition(".")[0] for name in left_out} == {"bottleneck", "decoder", "output"}
    other = changed(config, train={**ONE_STEP, **section, "pretrained_layers": ["stem"]})
    with pytest.raises(InputError, match=r"begins with stem; its names begin with bottleneck, dec"):
        train(other, output=tmp_path / "other")


def test_a_pretrained_network_predicts_no_labels(source: RunFolder) -> None:
    for use in (load, lambda path: open_held_out([path])):
        with pytest.raises(InputError, match=r"pre-trained without labels .*train --pretrained"):
            use(source.path)


def test_every_format_is_prepared_as_the_configuration_says(config: Config, tmp_path: Path) -> None:
    grey = np.arange(20 * 18 * 16, dtype=np.uint16).reshape(20, 18, 16)
    np.save(tmp_path / "one.npy", grey)
    folder = tmp_path / "folder"
    folder.mkdir()
    tifffile.imwrite(folder / "two.tif", grey[:10])
    spaced = changed(config, data={**config.data.model_dump(), "spacing": [2, 1, 1]})

    store = prepare_unlabelled(spaced, find_unlabelled(spaced, [tmp_path / "one.npy", folder]))

    assert {name: case.shape for name, case in store.cases.items()} == {
        "one": (10, 18, 16),
        "two": (5, 18, 16),
    }
    assert (np.asarray(store.cases["one"].label) != IGNORE).all()
    assert store.cases["one"].statistics.mean == pytest.approx((float(grey.mean()),), rel=0.01)
    again = find_unlabelled(spaced, [folder, tmp_path / "one.npy"])
    assert unlabelled_store(spaced, again) == store.path
    assert unlabelled_store(config, again) != store.path


def test_paths_without_volumes_and_equal_names_are_refused(
    config: Config, volumes: Path, tmp_path: Path
) -> None:
    shutil.copy(volumes / "c0.tif", tmp_path / "c0.tif")

    with pytest.raises(InputErrors, match=r"gone: no such file or folder; check the path") as fault:
        find_unlabelled(config, [volumes, tmp_path / "gone", tmp_path / "c0.tif"])
    assert "train_images/c0.tif has the same name; rename one" in fault.value.faults[1]
    with pytest.raises(InputError, match="DATA: needs at least one volume"):
        find_unlabelled(config, [])


def test_the_fold_of_labelled_cases_can_be_reconstructed_too(
    config: Config, tmp_path: Path
) -> None:
    run = train(
        changed(config, train={**ONE_STEP, "task": "reconstruction"}), output=tmp_path / "run"
    ).folder

    assert RunFolder.open(run.path).facts.validation_cases
    assert float(rows(run)[-1]["val/explained_variance"]) < 1.0

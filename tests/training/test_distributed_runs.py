"""Whole runs of two processes on the CPU against one, and how they end when one fails."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import tiny_tree
from tests.training.processes import in_two_processes
from tests.training.test_trainer import changed, rows, same, untimed, weights
from vesuv.config import Config
from vesuv.data.builder import open_matching_store
from vesuv.diagnosis import Evidence
from vesuv.errors import InputError, Interrupted
from vesuv.losses import MASK_LOSSES, Compound, build_losses
from vesuv.models import build_model
from vesuv.runs.checkpoints import read_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runtime.distributed import SINGLE_PROCESS, Group
from vesuv.runtime.machine import for_training, resolve
from vesuv.training.fold_data import TrainingData, fold_data
from vesuv.training.full_volumes import score_volumes
from vesuv.training.step import TrainingStep
from vesuv.training.train import train, train_fold
from vesuv.training.trainer import Trainer
from vesuv.training.validation import ValidationTiles

CHANGES: dict[str, Any] = {
    "phases": [
        {"epochs": [0, 1], "weights": {"dice": 1.0, "focal": 0.0}},
        {"epochs": [2, None], "weights": {"dice": 0.6, "focal": 0.1}},  # a finding at epoch 2
    ],
    "train": {"epochs": 4, "steps_per_epoch": 3},
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
    "averaging": {"swa": {"start_epoch": 1}, "ema": {"decay": 0.9}},
    "noise": {"start_epoch": 2, "every": 9, "std": 5.0, "decay": 0.9},
    "plateau": {"patience": 1},
    "checkpoint": {"every_epochs": 2},
    "diagnosis": {"train_tiles": 2, "probe_patches": 1},
    "validation": {"tiles": 5, "full_every": 2, "threshold": 0.3},
}
STOPPED_AT = 5
"""Steps after which a run is asked to stop: in the middle of the second epoch."""
RUNS = ("whole", "resumed", "resumed from one")


def at_step(number: int, act: Callable[[], None]) -> None:
    """Let this process do something within its step `number`, counted from 1."""
    taken_before = TrainingStep.__call__
    count = 0

    def call(self: TrainingStep, *arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            act()
        return taken_before(self, *arguments)

    TrainingStep.__call__ = call  # type: ignore[method-assign]


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def scored(config: Config, folder: Path, group: Group) -> tuple[Any, ...]:
    """Score the best weights of the run in `folder` on tiles and on whole volumes."""
    machine = replace(resolve(config.runtime), group=group)
    data = fold_data(TrainingData.of_store(open_matching_store(config), config), config, 0)
    network = build_model(config.model)
    network.load_state_dict(read_checkpoint(RunFolder(folder).checkpoint("best")).model)
    maps = [data.normalizer.for_case(case.statistics) for case in data.validation]
    size, classes = config.sampling.patch_size, config.labels.targets
    tiles = ValidationTiles(data.validation, maps, config.validation, size, classes)
    compound = Compound(build_losses(config.loss, list(MASK_LOSSES)))
    on_tiles = tiles.score(network, machine, compound, observe=True)
    observed = [
        (tile.index, tile.case, tile.confusion.tolist(), tile.probabilities.bins.tolist())
        for tile in on_tiles.tiles
    ]
    return replace(on_tiles, tiles=()), observed, score_volumes(network, data, config, machine)


def together(group: Group, config: Config, folder: Path, *, resume: bool = False) -> Trainer:
    """Train fold 0 in a process of the group, as the command line does."""
    machine = for_training(resolve(config.runtime, group), config)
    data = TrainingData.of_store(open_matching_store(config), config)
    return train_fold(config, data, 0, RunFolder(folder), machine, resume=resume)


def runs_of(group: Group, config: Config, folder: Path) -> tuple[Any, ...]:
    together(group, config, folder / "resumed from one", resume=True)
    trainer = together(group, config, folder / "whole")
    names = [finding.name for finding in trainer.findings]
    assert names == (["phases_not_comparable"] if group.is_main else []), names
    assert (trainer.validation.monitor is not None) == group.is_main
    if group.rank == 1:
        at_step(STOPPED_AT, ask_to_stop)
    with pytest.raises(Interrupted, match=f"saved at step {STOPPED_AT - 3}; --resume goes on"):
        together(group, config, folder / "resumed")
    if group.is_main:
        shutil.copytree(folder / "resumed", folder / "resumed by one")
    together(group, config, folder / "resumed", resume=True)
    return scored(config, folder / "whole", group)


def stopped_run(config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingStep, "__call__", TrainingStep.__call__)
    at_step(STOPPED_AT, ask_to_stop)
    with pytest.raises(Interrupted):
        train(config, output=folder)
    monkeypatch.undo()


def table(folder: Path) -> list[dict[str, float]]:
    return [
        {name: float(value or "nan") for name, value in row.items()}
        for row in untimed(RunFolder(folder))
    ]


def observed_dice(folder: Path) -> list[list[float]]:
    """Return what each line of evidence.jsonl says of the validation tiles and of training ones."""
    lines = Evidence.read(folder).observations
    assert [line.epoch for line in lines] == [0, 1, 2, 3]
    return [[line.train.dice, *(tile.dice for tile in line.tiles)] for line in lines]


def distance(first: Path, second: Path, name: str) -> float:
    one, other = (weights(RunFolder(folder), name) for folder in (first, second))
    off = sum((one[key].double() - other[key].double()).square().sum() for key in one)
    return float((off / sum(value.double().square().sum() for value in one.values())) ** 0.5)


@pytest.mark.slow
def test_two_processes_end_where_one_does_also_when_resumed(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = changed(tiny_config, **CHANGES)
    train(config, output=tmp_path / "alone")
    stopped_run(config, tmp_path / "resumed from one", monkeypatch)

    answers = in_two_processes(tmp_path, runs_of, config, tmp_path)
    assert not any(isinstance(answer, BaseException) for answer in answers), answers
    train(config, output=tmp_path / "resumed by one", resume=True)

    alone, dice = table(tmp_path / "alone"), observed_dice(tmp_path / "alone")
    assert len(alone) == 4
    # They differ by rounding, about 2e-8; where that lets another voxel win a max-pooling, 2e-6.
    for name in (*RUNS, "resumed by one"):
        for kind in ("last", "best", "ema", "swa", "epoch_0001"):
            assert distance(tmp_path / "alone", tmp_path / name, kind) < 1e-5, (name, kind)
        for one, other in zip(alone, table(tmp_path / name), strict=True):
            assert other == pytest.approx(one, rel=1e-3, abs=1e-5, nan_ok=True)
        for one, other in zip(dice, observed_dice(tmp_path / name), strict=True):
            assert other == pytest.approx(one, abs=1e-3)
    for kind in ("last", "best", "ema", "swa"):
        whole, resumed = (weights(RunFolder(tmp_path / name), kind) for name in RUNS[:2])
        assert same(whole, resumed), kind
    assert answers[0] == answers[1] == scored(config, tmp_path / "whole", SINGLE_PROCESS)
    log = (tmp_path / "resumed/train.log").read_text()
    assert len(re.findall("Epoch 2 .*before and after a change of phase are different", log)) == 1
    assert "Epoch 2 Adaptive intervention 1:" in log
    assert log.count("Epoch 1 Stopped by") == log.count("Epoch 1 Resumed at step 2.") == 1
    assert len(list((tmp_path / "whole").glob("events.out.tfevents.*"))) == 1


def with_a_fault(group: Group, config: Config, folder: Path) -> None:
    def fail() -> None:
        raise InputError("case c9: the file is gone")

    if group.rank == 1:
        at_step(2, fail)
    together(group, config, folder)


@pytest.mark.slow
def test_the_fault_of_one_is_shown_once_and_ends_all(tiny_config: Config, tmp_path: Path) -> None:
    echo, fault = in_two_processes(tmp_path, with_a_fault, tiny_config, tmp_path / "run")

    assert (type(fault), str(fault)) == (InputError, "case c9: the file is gone")
    assert (type(echo), echo.code) == (SystemExit, 1)
    log = (tmp_path / "run/train.log").read_text()
    assert re.findall("stopped: .*", log) == ["stopped: InputError: case c9: the file is gone"]


def with_a_kill(group: Group, config: Config, folder: Path) -> None:
    if group.rank == 1:
        at_step(2, lambda: os.kill(os.getpid(), signal.SIGKILL))
    together(group, config, folder)


@pytest.mark.slow
def test_a_process_that_is_killed_ends_all(tiny_config: Config, tmp_path: Path) -> None:
    left, killed = in_two_processes(tmp_path, with_a_kill, tiny_config, tmp_path / "run")

    assert killed is None
    assert isinstance(left, InputError)
    assert str(left).startswith("another process of this job was ended, or cannot be reached")
    assert "another process of this job was ended" in (tmp_path / "run/train.log").read_text()


def torchrun(tree: dict[str, Any], folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(tree))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, "bin/train.py", "--config", str(file), "--fold", "0", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_under_torchrun_one_process_prepares_writes_and_speaks(
    tiny_data: Path, tmp_path: Path
) -> None:
    tree = tiny_tree(tiny_data, tmp_path / "store")
    tree["train"] = {"epochs": 1, "steps_per_epoch": 2}

    done = torchrun(tree, tmp_path, "--output", str(tmp_path / "run"))

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("4 cases, prepared") == 1
    assert done.stdout.count("2 processes, each: device cpu") == 1
    assert done.stdout.count("epoch 0  loss ") == 1
    assert (tmp_path / "run/train.log").read_text().count("Epoch 0 Val - Loss") == 1
    assert len(rows(RunFolder(tmp_path / "run"))) == 1
    assert '"processes": 2' in (tmp_path / "run/run.json").read_text()


@pytest.mark.slow
def test_under_torchrun_a_users_mistake_is_one_sentence(tiny_data: Path, tmp_path: Path) -> None:
    tree = tiny_tree(tiny_data, tmp_path / "store")
    tree["sampling"]["batch_size"] = 3

    done = torchrun(tree, tmp_path, "--output", str(tmp_path / "run"))

    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said == [
        "error: sampling.batch_size: is the batch of all processes together, so it must be a "
        "multiple of 2 processes, found 3; change it, or torchrun's --nproc-per-node"
    ]
    assert re.search(r"Root Cause[\s\S]*exitcode +: 2 ", done.stderr)
    assert not (tmp_path / "run/run.json").exists()

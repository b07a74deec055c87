"""A run that is killed just before or behind any rename goes on to the same end."""

import csv
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.conftest import tiny_tree
from tests.faults.runs import KilledAtRename, start
from vesuv.runs.checkpoints import read_checkpoint

CHANGES: dict[str, Any] = {
    "train": {"epochs": 3, "steps_per_epoch": 3},
    "averaging": {"swa": {"start_epoch": 1}, "ema": {"decay": 0.9}},
    "noise": {"start_epoch": 1, "every": 1, "std": 0.01, "decay": 0.9},
    "plateau": {"patience": 1, "tolerance": 0.01},
    "scheduler": {"name": "plateau", "patience": 0, "warmup_epochs": 1},
    "checkpoint": {"every_minutes": 1e-6},
    "validation": {"tiles": 2},
}
TIMED = {"seconds", "patches_per_second", "loader_wait_share"}


@pytest.fixture
def config_file(tiny_data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_tree(tiny_data, tmp_path / "store") | CHANGES))
    return path


def arguments(config: Path, run: Path) -> list[str]:
    resume = ["--resume"] if (run / "checkpoints/last.pt").is_file() else ["--overwrite"]
    return ["train", "--config", str(config), "--fold", "0", "--output", str(run), *resume]


def end_of(run: Path) -> tuple[list[dict[str, str]], dict[str, dict[str, torch.Tensor]]]:
    with (run / "metrics.csv").open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k not in TIMED} for row in csv.DictReader(file)]
    names = ("last", "best", "ema", "swa")
    return rows, {name: read_checkpoint(run / f"checkpoints/{name}.pt").model for name in names}


def assert_same_end(one: Path, other: Path) -> None:
    (rows, weights), (other_rows, other_weights) = end_of(one), end_of(other)
    assert rows == other_rows
    for name, tensors in weights.items():
        different = [k for k in tensors if not torch.equal(tensors[k], other_weights[name][k])]
        assert not different, (name, different)


def test_killed_at_its_renames_a_run_ends_as_one_that_was_not(config_file: Path) -> None:
    whole, parts = config_file.parent / "whole", config_file.parent / "parts"
    errors = config_file.parent / "errors.txt"
    assert start(arguments(config_file, whole), errors).status() == 0
    # Of config.yaml, run.json, the page, best, last, averages and what was kept of the ones before.
    for number, done in [(2, True), (7, False), (12, True), (14, False)]:
        killer = KilledAtRename(number, done)
        running = start(arguments(config_file, parts), errors, before=killer)
        assert running.status() == -signal.SIGKILL, running.said

    running = start(arguments(config_file, parts), errors)
    assert running.status() == 0, running.said
    assert_same_end(whole, parts)
    assert not re.search(r"damaged|cannot be read", (parts / "train.log").read_text())
    assert not list(parts.rglob("*.partial"))

"""What a run loses, and what its user sees, when something from outside goes wrong."""

import csv
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.conftest import tiny_tree
from tests.faults.runs import Running, start
from vesuv.runs.checkpoints import read_checkpoint

TIMED = {"seconds", "patches_per_second", "loader_wait_share"}
STATE: dict[str, Any] = {
    "averaging": {"swa": {"start_epoch": 2}, "ema": {"decay": 0.9}},
    "noise": {"start_epoch": 1, "every": 1, "std": 0.01, "decay": 0.9},
    "plateau": {"patience": 1, "tolerance": 0.01},
    "scheduler": {"name": "plateau", "patience": 0, "warmup_epochs": 1},
    "checkpoint": {"every_minutes": 1e-6},
}


@pytest.fixture
def config_file(tiny_data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_tree(tiny_data, tmp_path / "store") | STATE))
    return path


def begin(config: Path, output: str, *more: str, file_limit: int | None = None) -> Running:
    run = config.parent / output
    arguments = ["train", "--config", str(config), "--fold", "0", "--output", str(run), *more]
    return start(arguments, config.parent / "errors.txt", file_limit=file_limit)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in TIMED} for row in csv.DictReader(file)]


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_as_one_that_was_not(config_file: Path) -> None:
    whole, parts = config_file.parent / "whole", config_file.parent / "parts"
    assert begin(config_file, "whole").status() == 0
    last, log = parts / "checkpoints" / "last.pt", parts / "train.log"
    # Within an epoch, while a checkpoint is written, at validation, while SWA averages.
    moments = [
        lambda: last.is_file(),
        lambda: any(last.parent.glob("*.partial")),
        lambda: b"Epoch 1 Val" in log.read_bytes(),
        lambda: b"Epoch 3 Weight noise" in log.read_bytes(),
    ]
    for moment in moments:
        running = begin(config_file, "parts", *(["--resume"] if last.is_file() else []))
        running.wait_until(moment)
        running.process.kill()
        running.process.join()
    assert begin(config_file, "parts", "--resume").status() == 0

    for name in ("last", "best", "ema", "swa"):
        one, other = (read_checkpoint(run / f"checkpoints/{name}.pt") for run in (whole, parts))
        assert all(torch.equal(one.model[key], other.model[key]) for key in one.model), name
    assert rows(whole) == rows(parts)
    assert not list(parts.rglob("*.partial"))
    events = (parts / "events.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in events]
    assert kinds.count("stop") == 1 and "resume" in kinds


def test_sigterm_saves_and_says_how_to_go_on(config_file: Path) -> None:
    run = config_file.parent / "run"
    running = begin(config_file, "run")
    running.wait_until(lambda: (run / "checkpoints/last.pt").is_file())
    os.kill(running.process.pid or 0, signal.SIGTERM)

    assert running.status() == 75
    found = re.search(r"epoch (\d): Stopped by SIGTERM and saved at step (\d)", running.said)
    assert found is not None and "--resume goes on" in running.said
    state = read_checkpoint(run / "checkpoints/last.pt").training
    assert state is not None
    assert (state["progress"]["epoch"], state["progress"]["step"]) == (int(found[1]), int(found[2]))


@pytest.mark.slow
def test_a_disk_that_is_full_leaves_what_was_saved(config_file: Path) -> None:
    run = config_file.parent / "run"
    assert begin(config_file, "run", "--set", "train.epochs=2").status() == 0
    before = {path.name: path.read_bytes() for path in (run / "checkpoints").glob("*.pt")}

    longer = ("--resume", "--set", "train.epochs=3")
    running = begin(config_file, "run", *longer, file_limit=20_000)

    assert running.status() == 2
    assert re.fullmatch(
        r"error: \S+/checkpoints/last\.pt: cannot be written \(File too large\); .*--resume\n",
        running.said,
    )
    assert {path.name: path.read_bytes() for path in (run / "checkpoints").glob("*.pt")} == before
    assert begin(config_file, "run", *longer).status() == 0


def test_a_log_that_cannot_grow_is_a_sentence_too(config_file: Path) -> None:
    running = begin(config_file, "run", file_limit=300)

    assert running.status() == 2
    assert re.fullmatch(r"error: \S+: cannot be written \(File too large\); .*\n", running.said)


def test_a_second_process_is_kept_out_of_the_folder(config_file: Path) -> None:
    run = config_file.parent / "run"
    first = begin(config_file, "run", "--set", "train.epochs=50")
    first.wait_until(lambda: (run / "checkpoints/last.pt").is_file())

    second = start(
        ["train", "--config", str(config_file), "--fold", "0", "--output", str(run), "--resume"],
        config_file.parent / "second.txt",
    )

    assert second.status() == 2
    assert "another process trains in this folder" in second.said
    assert first.process.is_alive()
    first.process.kill()
    first.process.join()


def test_a_folder_that_is_a_file_is_one_sentence(config_file: Path) -> None:
    (config_file.parent / "run").write_text("not a folder")

    running = begin(config_file, "run")

    assert running.status() == 2
    assert re.fullmatch(r"error: --output: \S+/run is a file; .*\n", running.said)
    assert (config_file.parent / "run").read_text() == "not a folder"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_store_cut_while_training_is_one_sentence(config_file: Path, workers: int) -> None:
    run = config_file.parent / "run"
    more = ["--set", f"runtime.workers={workers}", "train.epochs=200"]
    running = begin(config_file, "run", *more)
    running.wait_until(lambda: lines(run / "metrics.csv") > 1)
    for chunk in (config_file.parent / "store" / "cases").glob("*/label/c/0/0/0"):
        with chunk.open("r+b") as file:
            file.truncate(4096)

    assert running.status() == 2
    assert re.search(r"became shorter while it was read|a loader process was ended", running.said)
    assert "Traceback" not in running.said
    assert read_checkpoint(run / "checkpoints/last.pt").training is not None


@pytest.mark.slow
def test_a_loader_process_that_is_killed_is_a_sentence_and_not_a_hang(config_file: Path) -> None:
    running = begin(config_file, "run", "--set", "runtime.workers=1", "train.epochs=200")
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    if not children.is_file():
        running.process.kill()
        pytest.skip("the system does not list a process's children")
    metrics = config_file.parent / "run" / "metrics.csv"
    running.wait_until(lambda: lines(metrics) > 1)
    for child in children.read_text().split():
        os.kill(int(child), signal.SIGKILL)

    assert running.status() == 2
    assert re.search(r"error: runtime\.workers: a loader process was ended", running.said)
    assert "Traceback" not in running.said

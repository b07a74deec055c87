import csv
from pathlib import Path

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vesuv.training.slices import Slices
from vesuv.training.telemetry import Telemetry


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_epoch_reaches_the_log_the_table_and_tensorboard(tmp_path: Path) -> None:
    with Telemetry(tmp_path, (0, 0)) as telemetry:
        telemetry.say("hello")
        telemetry.epoch(0, {"lr": 0.5, "val/dice": None})
        telemetry.event((0, 0), "noise", "Weight noise injected")
        picture = torch.rand(1, 4, 4)
        telemetry.pictures(0, Slices(picture, picture, picture, ("a",)))

    assert rows(tmp_path) == [{"epoch": "0", "lr": "0.5", "val/dice": ""}]
    log = (tmp_path / "train.log").read_text()
    assert "hello" in log and "Epoch 0 Weight noise injected" in log
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    assert board.Scalars("lr")[0].value == 0.5
    assert board.Tags()["images"] == [
        f"slices/{name}" for name in ("image", "label", "probability")
    ]


def test_a_new_column_joins_the_old_ones(tmp_path: Path) -> None:
    with Telemetry(tmp_path, (0, 0)) as telemetry:
        telemetry.epoch(0, {"lr": 0.5})
        telemetry.epoch(1, {"lr": 0.4, "val/dice": 0.7})
        telemetry.epoch(2, {"lr": 0.3})

    assert [row["val/dice"] for row in rows(tmp_path)] == ["", "0.7", ""]


def test_a_resumed_run_cuts_the_table_back(tmp_path: Path) -> None:
    with Telemetry(tmp_path, (0, 0)) as telemetry:
        for epoch in range(4):
            telemetry.epoch(epoch, {"lr": 0.5})

    with Telemetry(tmp_path, (2, 0)) as telemetry:
        telemetry.epoch(2, {"lr": 0.1})

    assert [(row["epoch"], row["lr"]) for row in rows(tmp_path)] == [
        ("0", "0.5"), ("1", "0.5"), ("2", "0.1"),
    ]  # fmt: skip


def test_what_stopped_a_run_is_in_its_log(tmp_path: Path) -> None:
    try:
        with Telemetry(tmp_path, (0, 0)):
            raise ValueError("the disk is full")
    except ValueError:
        pass

    assert "stopped: ValueError: the disk is full" in (tmp_path / "train.log").read_text()

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vesuv.runs.folder import RunFolder
from vesuv.runs.history import RunHistory
from vesuv.runs.records import Diagnosis, Finding, RunEvent
from vesuv.runs.writer import Position, RunWriter, write_diagnosis

FINDING = Finding(
    name="lopsided_precision_recall",
    title="Far too much is predicted",
    evidence="In epochs 3 to 5 precision is 0.608.",
    remedy="Let validate_distribution choose.",
    severity="trouble",
    epochs=(3, 5),
    numbers={"precision": 0.608},
)


def writer(folder: Path, position: Position = (0, 0)) -> RunWriter:
    return RunWriter(RunFolder(folder), position)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_epoch_reaches_the_log_the_table_and_tensorboard(tmp_path: Path) -> None:
    opened = writer(tmp_path)
    opened.log("hello")
    opened.metrics(0, {"lr": 0.5, "val/dice": None})
    opened.event(RunEvent(epoch=0, kind="noise", line="Weight noise injected"))
    picture = torch.rand(1, 4, 4)
    names = ("image", "label", "probability")
    opened.slices(0, dict.fromkeys(names, picture), [("a", 7)], 0.5)
    opened.close()

    assert rows(tmp_path) == [{"epoch": "0", "lr": "0.5", "val/dice": ""}]
    assert "hello" in (tmp_path / "train.log").read_text()
    assert json.loads((tmp_path / "events.jsonl").read_text()) == {
        "epoch": 0, "step": 0, "kind": "noise", "line": "Weight noise injected",
    }  # fmt: skip
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    assert board.Scalars("lr")[0].value == 0.5
    assert board.Tags()["images"] == [f"slices/{name}" for name in names]


def test_class_indices_are_kept_as_they_are_with_their_names(tmp_path: Path) -> None:
    opened = writer(tmp_path)
    classes = torch.tensor([[[0, 2, 255]]], dtype=torch.uint8)
    pictures = {"image": torch.zeros(1, 1, 3), "label_classes": classes}
    opened.slices(0, pictures, [("a", 7)], 0.5, ["background", "sheet", "fibre"])
    opened.close()

    with np.load(tmp_path / "slices.npz", allow_pickle=False) as arrays:
        assert arrays["label_classes"].tolist() == [[[0, 2, 255]]]
        assert list(arrays["class_names"]) == ["background", "sheet", "fibre"]
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    assert board.Tags()["images"] == ["slices/image"]


def test_a_new_column_joins_the_old_ones(tmp_path: Path) -> None:
    opened = writer(tmp_path)
    opened.metrics(0, {"lr": 0.5})
    opened.metrics(1, {"lr": 0.4, "val/dice": 0.7})
    opened.metrics(2, {"lr": 0.3})
    opened.close()

    assert [row["val/dice"] for row in rows(tmp_path)] == ["", "0.7", ""]


def test_a_spreadsheet_runs_no_heading_and_a_resumed_run_reads_it_back(tmp_path: Path) -> None:
    first = writer(tmp_path)
    first.metrics(0, {"=1+1": -0.5})
    first.metrics(1, {"=1+1": -0.25})
    first.close()
    heading = (tmp_path / "metrics.csv").read_text().splitlines()[0]

    second = writer(tmp_path, (1, 0))
    second.metrics(1, {"=1+1": -0.75})
    second.close()

    assert heading == "epoch,'=1+1"
    assert rows(tmp_path) == [{"epoch": "0", "'=1+1": "-0.5"}, {"epoch": "1", "'=1+1": "-0.75"}]
    assert RunHistory.read(tmp_path).metrics.points("=1+1") == [(0, -0.5), (1, -0.75)]


def test_a_name_from_outside_makes_no_line_of_its_own_in_the_log(tmp_path: Path) -> None:
    opened = writer(tmp_path)
    opened.log(f"case a\n2026-01-01 00:00:00 Trouble\x1b[2J\u202e{os.fsdecode(bytes([0xE9]))}")
    opened.text("findings", f"one\n\ncase {os.fsdecode(bytes([0xE9]))}", 0)
    opened.close()

    [line] = (tmp_path / "train.log").read_text().splitlines()
    assert line[20:] == r"case a\n2026-01-01 00:00:00 Trouble\x1b[2J\u202e\xe9"
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    [text] = board.Tensors("findings/text_summary")
    assert text.tensor_proto.string_val == [rb"one" + b"\n\n" + rb"case \xe9"]


def test_a_resumed_run_cuts_the_table_and_the_events_back(tmp_path: Path) -> None:
    first = writer(tmp_path)
    for epoch in range(4):
        first.metrics(epoch, {"lr": 0.5})
        first.event(RunEvent(epoch=epoch, step=3, kind="noise", line=f"event {epoch}"))
    first.close()
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"epoch": 1, "st')

    second = writer(tmp_path, (2, 3))
    second.metrics(2, {"lr": 0.1})
    second.close()

    assert [(row["epoch"], row["lr"]) for row in rows(tmp_path)] == [
        ("0", "0.5"), ("1", "0.5"), ("2", "0.1"),
    ]  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["line"] for line in lines] == ["event 0", "event 1"]


@pytest.mark.parametrize(
    ("damage", "epochs"),
    [
        pytest.param(lambda text: text.replace("\n1,", "\nx,"), "0234", id="unreadable row"),
        pytest.param(lambda text: text.replace("\n1,", "\n3,"), "0234", id="wrong epoch"),
        pytest.param(lambda text: text.replace("0,0.5\r\n1,0.5\r\n", ""), "234", id="new table"),
        pytest.param(lambda text: text + "1", "01234", id="truncated row"),
    ],
)
def test_a_resumed_run_keeps_the_rows_behind_a_damaged_one(
    tmp_path: Path, damage: Callable[[str], str], epochs: str
) -> None:
    first = writer(tmp_path)
    for epoch in range(4):
        first.metrics(epoch, {"lr": 0.5})
    first.close()
    table = tmp_path / "metrics.csv"
    table.write_text(damage(table.read_bytes().decode()), newline="")

    second = writer(tmp_path, (4, 0))
    second.metrics(4, {"lr": 0.5})
    second.close()

    assert [(row["epoch"], row["lr"]) for row in rows(tmp_path)] == [(e, "0.5") for e in epochs]


def test_findings_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_diagnosis(RunFolder(tmp_path), 5, [FINDING])

    content = json.loads((tmp_path / "diagnosis.json").read_text())
    assert Diagnosis.model_validate(content) == Diagnosis(epoch=5, findings=(FINDING,))
    assert [path.name for path in tmp_path.iterdir()] == ["diagnosis.json"]
    assert content == {
        "version": 1,
        "epoch": 5,
        "findings": [
            {
                "name": "lopsided_precision_recall",
                "title": "Far too much is predicted",
                "evidence": "In epochs 3 to 5 precision is 0.608.",
                "remedy": "Let validate_distribution choose.",
                "severity": "trouble",
                "epochs": [3, 5],
                "numbers": {"precision": 0.608},
            }
        ],
    }


def test_probabilities_that_are_nan_become_zero(tmp_path: Path) -> None:
    opened = writer(tmp_path)
    opened.slices(0, {"probability": torch.tensor([[[float("nan"), 1.0]]])}, [("a", 7)], 0.5)
    opened.close()

    with np.load(tmp_path / "slices.npz", allow_pickle=False) as arrays:
        assert arrays["probability"].tolist() == [[[0, 255]]]

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vesuv.errors import InputError, Interrupted
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import Finding
from vesuv.runtime.distributed import SINGLE_PROCESS, Group, OtherProcessError
from vesuv.training.reporting import Listener, MetricsRow, Reporter

SECOND = Group(rank=1, size=2)


def finding(name: str) -> Finding:
    return Finding(
        name=name,
        title=f"{name} is amiss",
        evidence="It was seen.",
        remedy="Change it.",
        severity="warning",
        epochs=(0, 1),
    )


def reporter(folder: Path, lines: list[str], group: Group = SINGLE_PROCESS) -> Reporter:
    return Reporter(RunFolder(folder), (0, 0), group, Listener(line=lines.append))


def log(folder: Path) -> list[str]:
    return [line[20:] for line in (folder / "train.log").read_text().splitlines()]


def test_an_event_is_told_logged_and_kept_with_its_step(tmp_path: Path) -> None:
    lines: list[str] = []
    with reporter(tmp_path, lines) as opened:
        opened.event((3, 5), "noise", "Weight noise injected")

    assert lines == log(tmp_path) == ["Epoch 3 Weight noise injected"]
    assert json.loads((tmp_path / "events.jsonl").read_text()) == {
        "epoch": 3, "step": 5, "kind": "noise", "line": "Weight noise injected",
    }  # fmt: skip


def test_a_finding_is_said_when_it_is_new_and_all_at_the_end(tmp_path: Path) -> None:
    lines: list[str] = []
    first, second = finding("first"), finding("second")
    with reporter(tmp_path, lines) as opened:
        opened.findings(0, [first])
        opened.findings(1, [first])
        opened.findings(2, [first, second])
        during = len(lines)
        opened.findings(3, [])
        opened.conclude([second])
        opened.conclude([])

    said = [(line[:7], re.findall(r"\((\w+)\)", line)) for line in lines[:during]]
    assert [(epoch, names[0]) for epoch, names in said if names] == [
        ("Epoch 0", "first"), ("Epoch 2", "second"),
    ]  # fmt: skip
    assert lines[during] == "Findings:"
    assert lines[-1] == "No findings"
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    assert [event.step for event in board.Tensors("findings/text_summary")] == [0, 2, 3]


def test_a_person_hears_notices_and_the_log_has_every_line(tmp_path: Path) -> None:
    lines: list[str] = []
    notices: list[str] = []
    epochs: list[tuple[int, MetricsRow]] = []
    listener = Listener(
        line=lines.append,
        notice=notices.append,
        epoch=lambda epoch, row: epochs.append((epoch, row)),
    )
    with Reporter(RunFolder(tmp_path), (0, 0), SINGLE_PROCESS, listener) as opened:
        opened.say("start")
        opened.log("Epoch 0 Train - Loss: 0.5")
        opened.metrics(0, {"lr": 0.5})
        opened.event((0, 3), "noise", "Weight noise injected")
        opened.event((0, 3), "rollback", "rolled back")
        opened.findings(0, [finding("first"), finding("second")])
        opened.event((1, 0), "stop", "All 1 epochs done")
        opened.conclude([finding("first"), finding("second")])

    assert notices == [
        "start",
        "Epoch 0 rolled back",
        "Epoch 0 Warning: first is amiss (first). It was seen.",
        "Epoch 0   -> Change it.",
        "Epoch 0 Warning: second is amiss (second). It was seen.",
        "Epoch 0   -> Change it.",
        "All 1 epochs done",
        "Findings: first is amiss (first); second is amiss (second)",
    ]
    assert epochs == [(0, {"lr": 0.5})]
    assert lines == log(tmp_path)
    assert len(lines) == 14
    assert {"Epoch 0 Train - Loss: 0.5", "Epoch 0 Weight noise injected"} < set(lines)


def test_a_person_who_cannot_be_reached_any_more_does_not_stop_training(tmp_path: Path) -> None:
    def broken(_epoch: int, _row: MetricsRow) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    notices: list[str] = []
    listener = Listener(notice=notices.append, epoch=broken)
    with Reporter(RunFolder(tmp_path), (0, 0), SINGLE_PROCESS, listener) as opened:
        opened.metrics(0, {"lr": 0.5})
        opened.say("later")

    assert notices == []
    assert log(tmp_path) == [
        "Nothing more is printed (Broken pipe); training and this log go on",
        "later",
    ]


def test_a_process_that_does_not_lead_writes_and_tells_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    with reporter(tmp_path, lines, SECOND) as opened:
        opened.say("hello")
        opened.event((0, 0), "noise", "Weight noise injected")
        opened.metrics(0, {"lr": 0.5})
        opened.slices(0, {}, [], 0.5)
        opened.findings(0, [finding("first")])
        opened.conclude([finding("first")])

    assert lines == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("group", [SINGLE_PROCESS, SECOND])
def test_what_stopped_a_run_is_in_its_log_whichever_process_it_was(
    tmp_path: Path, group: Group
) -> None:
    with pytest.raises(ValueError, match="the disk is full"), reporter(tmp_path, [], group):
        raise ValueError("the disk is full")

    assert log(tmp_path) == ["stopped: ValueError: the disk is full"]


@pytest.mark.parametrize("end", [Interrupted("SIGTERM"), OtherProcessError(0, "lost")])
def test_what_is_no_fault_of_this_process_is_not_in_its_log(tmp_path: Path, end: Exception) -> None:
    with pytest.raises(type(end)), reporter(tmp_path, []):
        raise end

    assert log(tmp_path) == []


def test_a_fault_in_what_only_watches_is_said_and_training_goes_on(tmp_path: Path) -> None:
    lines: list[str] = []
    with reporter(tmp_path, lines) as opened:
        with opened.log_errors("Diagnosis"):
            raise ZeroDivisionError("oops")
        with pytest.raises(InputError, match="full"), opened.log_errors("Diagnosis"):
            raise InputError("full")

    assert lines == ["Diagnosis failed (ZeroDivisionError: oops); training goes on"]


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()

    with (
        reporter(tmp_path, []) as opened,
        pytest.raises(InputError, match=r"report\.html: cannot be written \(Is a directory\)"),
    ):
        opened.page()

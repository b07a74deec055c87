from __future__ import annotations

import re

from tests.report.conftest import MakeRun
from vesuv.report.page_files import read_files
from vesuv.report.page_speed import seconds_left, speed


def rows(html: str) -> dict[str, str]:
    return dict(re.findall(r"<tr><td>(.*?)</td><td>(.*?)</td></tr>", html))


def test_pace_wait_and_machine_are_told(make_run: MakeRun) -> None:
    told = rows(speed(read_files(make_run())))

    assert told["pace of the last epochs"] == "2.0 min an epoch"
    assert told["patches"] == "16.0 a second"
    assert told["waiting for data"] == "3.00 %"
    assert told["trained so far"] == "8.0 min"
    assert told["training left at this pace"] == "9 h 52 min"
    assert told["cases"] == "2 for training, 1 for validation"
    assert told["software"] == "torch 2.13.0"


def test_one_slow_epoch_does_not_move_the_time_left(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_text("epoch,seconds\n295,10\n296,9000\n297,10\n")

    assert seconds_left(read_files(run)) == 20.0


def test_an_ended_run_has_no_time_left(make_run: MakeRun) -> None:
    run = make_run()
    (run / "events.jsonl").write_text('{"epoch": 4, "kind": "stop", "line": "Early stopping"}')

    assert "training left at this pace" not in rows(speed(read_files(run)))

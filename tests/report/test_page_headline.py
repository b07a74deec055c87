from __future__ import annotations

import re
from datetime import UTC, datetime

from tests.report.conftest import MakeRun
from vesuv.report.page_files import read_files
from vesuv.report.page_headline import headline

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_running_run_says_how_far_it_is_and_how_long_it_takes(make_run: MakeRun) -> None:
    said = words(headline(read_files(make_run()), NOW, ["curves"]))

    # 296 epochs of two minutes are left
    assert "running when this page was written, about 9 h 52 min of training left." in said
    assert "4 of 300 epochs done" in said
    assert "Written 2026-05-06 07:08:09 UTC · started 2026-01-02 03:04:05 UTC" in said


def test_an_ended_run_says_why(make_run: MakeRun) -> None:
    run = make_run()
    (run / "events.jsonl").write_text('{"epoch": 4, "kind": "stop", "line": "Stopped by SIGTERM"}')

    assert "ended Stopped by SIGTERM." in words(headline(read_files(run), NOW, []))


def test_figures_are_those_of_the_best_epoch(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_text(
        "epoch,val/dice,val/precision,val/recall,val/ema_dice\n"
        "0,0.61,0.5,0.8,0.3\n1,0.6,0.9,0.4,0.64\n"
    )

    said = words(headline(read_files(run), NOW, []))

    assert "best dice 0.6100 epoch 0" in said
    assert "newest dice 0.6000 epoch 1" in said
    assert "best of EMA 0.6400 epoch 1" in said
    assert "precision 0.500 at the best recall 0.800 at the best" in said


def test_only_sections_that_are_there_are_linked(make_run: MakeRun) -> None:
    html = headline(read_files(make_run()), NOW, ["findings", "speed"])

    assert re.findall(r'href="#(\w+)"', html) == ["findings", "speed"]

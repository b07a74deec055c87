from __future__ import annotations

import re

from tests.report.conftest import MakeRun
from vesuv.report.page_curves import curves
from vesuv.report.page_files import read_files


def titles(html: str) -> list[str]:
    return re.findall(r"<h3>(.*?) <small", html)


def test_columns_that_are_there_make_charts_and_others_none(make_run: MakeRun) -> None:
    assert titles(curves(read_files(make_run()))) == [
        "Measure: dice",
        "Precision and recall",
        "Foreground: predicted against labelled",
        "Terms of the loss",
        "Training loss",
        "Learning rate",
        "Gradient norm",
    ]


def test_skipped_steps_are_drawn_once_there_are_some(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_text("epoch,skipped_steps\n0,0\n1,2\n")
    (run / "evidence.jsonl").unlink()

    html = curves(read_files(run))

    assert titles(html) == ["Skipped steps"]
    assert "since the start <b>2</b>" in html


def test_training_tiles_stand_beside_validation_tiles(make_run: MakeRun) -> None:
    html = curves(read_files(make_run()))

    assert "training tiles <b>0.9000</b>" in html
    assert "validation tiles <b>0.7000</b>" in html
    assert "best 0.7000, epoch 3" in html


def test_a_loss_with_a_spike_is_drawn_on_a_logarithmic_axis(make_run: MakeRun) -> None:
    run = make_run()
    rows = [f"{epoch},{500.0 if epoch == 7 else 0.5}" for epoch in range(20)]
    (run / "metrics.csv").write_text("\n".join(["epoch,train/loss", *rows, ""]))
    (run / "evidence.jsonl").unlink()

    html = curves(read_files(run))

    assert re.findall(r'bottom:[\d.]+%">([^<]+)<', html) == ["1", "10", "100"]
    assert "Logarithmic axis." in html

from __future__ import annotations

import re
from pathlib import Path

from tests.report.conftest import FINDING, NOW, MakeRun, section, words, write_facts, write_json
from vesuv.report.page import write_page


def header(run: Path) -> str:
    page = write_page(run, now=NOW).read_text(encoding="utf-8")
    return page[page.index("<header>") : page.index("</header>")]


def titles(markup: str) -> list[str]:
    return re.findall(r"<h3>(.*?) <small", markup)


def rows(markup: str) -> dict[str, str]:
    return dict(re.findall(r"<div><dt>(.*?)</dt><dd>(.*?)</dd></div>", markup))


def test_a_running_run_says_how_far_it_is_and_how_long_it_takes(make_run: MakeRun) -> None:
    text = words(header(make_run()))

    # 296 epochs of two minutes are left
    assert "running when this page was written, about 9 h 52 min of training left." in text
    assert "4 of 300 epochs done" in text
    assert "Written 2026-05-06 07:08:09 UTC · started 2026-01-02 03:04:05 UTC" in text


def test_an_ended_run_says_why(make_run: MakeRun) -> None:
    run = make_run()
    (run / "events.jsonl").write_text('{"epoch": 4, "kind": "stop", "line": "Stopped by SIGTERM"}')

    assert "ended Stopped by SIGTERM." in words(header(run))


def test_figures_are_those_of_the_best_epoch(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_text(
        "epoch,val/dice,val/precision,val/recall,val/ema_dice\n"
        "0,0.61,0.5,0.8,0.3\n1,0.6,0.9,0.4,0.64\n"
    )

    text = words(header(run))

    assert "best dice 0.6100 epoch 0" in text
    assert "newest dice 0.6000 epoch 1" in text
    assert "best of EMA 0.6400 epoch 1" in text
    assert "precision 0.500 at the best recall 0.800 at the best" in text


def test_a_newest_measure_that_is_not_a_number_is_shown(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_text("epoch,val/dice\n0,0.61\n1,nan\n")

    assert "newest dice not a number epoch 1" in words(header(run))


def test_only_sections_that_are_there_are_linked(make_run: MakeRun) -> None:
    run = make_run()
    for name in ("slices.npz", "evidence.jsonl", "metrics.csv", "run.json"):
        (run / name).unlink()

    assert re.findall(r'href="#(\w+)"', header(run)) == [
        "findings",
        "curves",
        "distribution",
        "configuration",
    ]


def test_trouble_stands_before_warnings_with_evidence_remedy_and_numbers(
    make_run: MakeRun,
) -> None:
    run = make_run()
    warning = {**FINDING, "title": "Slow", "severity": "warning", "epochs": [2, 2]}
    write_json(run / "diagnosis.json", {"epoch": 2, "findings": [warning, FINDING]})

    page = section(run, "findings")

    assert "Findings (2)" in page
    assert page.index("Collapsed") < page.index("Slow")
    assert "trouble · epochs 1–3" in page
    assert "warning · epoch 2<" in page
    assert "All is background since epoch 1." in page
    assert "<b>What to do:</b> Start again." in page
    assert "<dt>largest share</dt><dd>0.9995</dd>" in page
    assert "As of epoch 2; epoch 3 is the newest." in page


def test_no_findings_and_no_diagnosis_have_different_texts(make_run: MakeRun) -> None:
    run = make_run()
    assert "No findings as of epoch 3." in section(run, "findings")

    (run / "diagnosis.json").unlink()
    assert "Not diagnosed yet." in section(run, "findings")


def test_columns_that_are_there_make_charts_and_others_none(make_run: MakeRun) -> None:
    assert titles(section(make_run(), "curves")) == [
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

    page = section(run, "curves")

    assert titles(page) == ["Skipped steps"]
    assert "since the start <b>2</b>" in page


def test_training_tiles_stand_beside_validation_tiles(make_run: MakeRun) -> None:
    page = section(make_run(), "curves")

    assert "training tiles <b>0.9000</b>" in page
    assert "validation tiles <b>0.7000</b>" in page
    assert "best 0.7000, epoch 3" in page


def test_a_loss_with_a_spike_is_drawn_on_a_logarithmic_axis(make_run: MakeRun) -> None:
    run = make_run()
    losses = [f"{epoch},{500.0 if epoch == 7 else 0.5}" for epoch in range(20)]
    (run / "metrics.csv").write_text("\n".join(["epoch,train/loss", *losses, ""]))
    (run / "evidence.jsonl").unlink()

    page = section(run, "curves")

    assert re.findall(r'bottom:[\d.]+%">([^<]+)<', page) == ["1", "10", "100"]
    assert "Logarithmic axis." in page


def test_a_small_gain_of_the_measure_looks_small(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_text("epoch,val/dice\n0,0.700\n1,0.716\n")
    (run / "evidence.jsonl").unlink()

    (path,) = re.findall(r'<path class="line c0 d0" d="(M25 [^"]+)"', section(run, "curves"))
    first, last = (float(point.split()[1]) for point in path[1:].split("L"))

    assert last - first == 16  # of an axis from 0.658 to 0.758


def test_speed_wait_and_machine_are_shown(make_run: MakeRun) -> None:
    told = rows(section(make_run(), "speed"))

    assert told["recent pace"] == "2.0 min per epoch"
    assert told["patches"] == "16.0 per second"
    assert told["waiting for data"] == "3.00 %"
    assert told["trained so far"] == "8.0 min"
    assert told["training left at this pace"] == "9 h 52 min"
    assert told["cases"] == "2 for training, 1 for validation"
    assert told["software"] == "torch 2.13.0"


def test_an_ended_run_has_no_time_left(make_run: MakeRun) -> None:
    run = make_run()
    (run / "events.jsonl").write_text('{"epoch": 4, "kind": "stop", "line": "Early stopping"}')

    shown = rows(section(run, "speed"))
    assert shown["cases"] == "2 for training, 1 for validation"
    assert "training left at this pace" not in shown


def test_one_phase_and_the_end_of_the_run_need_no_list(make_run: MakeRun) -> None:
    run = make_run()
    several = words(section(run, "curves"))
    (run / "config.yaml").write_text(
        (run / "config.yaml")
        .read_text()
        .replace("  - {epochs: [0, 1], weights: {dice: 1.0}}\n", "")
        .replace("[2, null]", "[0, null]")
    )
    (run / "events.jsonl").write_text('{"epoch": 4, "kind": "stop", "line": "All epochs done"}')
    one = words(section(run, "curves"))

    assert "Shaded: phases of the loss." in several and "Marked above the first chart:" in several
    assert "Shaded" not in one and "Marked" not in one
    assert "1: dice 0.8, focal 0.2" in one  # in the strip above the chart


def test_what_differs_from_the_base_is_shown_with_both_values(make_run: MakeRun) -> None:
    page = section(make_run(), "configuration")

    assert "Differences from the base (1)" in page
    assert "Key This run Base optimizer.lr 0.0005 0.0125" in words(page)
    assert "<details><summary>Differences from the built-in defaults" in page


def test_phases_are_listed_one_a_line(make_run: MakeRun) -> None:
    page = section(make_run(), "configuration")

    assert (
        "<code>{epochs: [0, 1], weights: {dice: 1.0}, ramp: 0}</code>"
        "<code>{epochs: [2, null], weights: {dice: 0.8, focal: 0.2}, ramp: 0}</code>"
    ) in page


def test_a_configuration_without_a_base_shows_its_defaults_once(make_run: MakeRun) -> None:
    run = make_run()
    write_facts(run, base_differences=None)

    page = section(run, "configuration")

    assert "the base" not in page
    assert "<h3>Differences from the built-in defaults" in page


def test_a_run_like_its_base_says_so(make_run: MakeRun) -> None:
    run = make_run()
    write_facts(run, base_differences=[])

    assert "Nothing differs from the base." in section(run, "configuration")


def test_a_configuration_of_another_version_is_shown_as_text(make_run: MakeRun) -> None:
    run = make_run()
    (run / "config.yaml").write_text("warp: {factor: 9}\n")

    page = section(run, "configuration")

    assert "not a configuration that this version reads" in page
    assert "warp: {factor: 9}" in page

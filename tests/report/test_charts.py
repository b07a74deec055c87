from __future__ import annotations

import json
import math
import re
from html import unescape
from typing import Any

from tests.report.conftest import MakeRun, section
from vesuv.config.loss import Phase
from vesuv.report.charts import Chart, Series, downsample
from vesuv.report.timeline import Timeline
from vesuv.runs.history import Point

PHASES = (
    Phase(epochs=(0, 3), weights={"dice": 1.0}),
    Phase(epochs=(4, None), weights={"focal": 1.0}),
)


def chart(*lines: Series, last: int = 9, **options: Any) -> Chart:
    return Chart(Timeline(last, PHASES, ()), "Loss", lines, **options)


def path(points: list[Point], last: int = 9, **options: Any) -> str:
    series = Series("a", points)
    return chart(series, last=last, **options).path(series)


def line(*values: float) -> list[Point]:
    return list(enumerate(values))


def test_a_line_runs_from_the_first_epoch_to_the_last() -> None:
    assert path(line(0.0, 1.0), last=1) == "M25 0L75 100"


def test_a_line_is_broken_where_a_value_is_no_number() -> None:
    assert path(line(1, 2, math.nan, 3, math.inf, 4)).count("M") == 3


def test_a_point_alone_between_gaps_is_marked_on_a_long_line_too() -> None:
    series = Series("a", line(*[1.0] * 50, math.nan, 2.0, math.nan, *[1.0] * 50))

    assert chart(series, last=110).dots(series).count("M") == 1


def test_a_total_is_not_drawn_across_a_change_of_phase() -> None:
    points = line(*range(10))

    assert path(points, break_at_phases=True).count("M") == 2
    assert path(points).count("M") == 1


def test_a_chart_without_a_number_has_no_lines() -> None:
    assert chart(Series("a", line(math.nan)), Series("b", [])).drawn_lines == []


def test_thinning_keeps_every_peak_and_both_ends_of_a_long_line() -> None:
    points = line(*(0.5 + 1e-4 * (epoch % 7) for epoch in range(10_000)))
    points[4321] = (4321, 9.0)
    points[8765] = (8765, -9.0)

    downsampled = downsample(points)

    assert len(downsampled) <= 700
    assert {(4321, 9.0), (8765, -9.0), points[-1]} <= set(downsampled)
    assert downsampled == sorted(downsampled)
    assert downsample(points[:100]) == points[:100]


def test_the_pointer_reads_the_numbers_that_were_written() -> None:
    line_chart = chart(Series("a", line(0.123456, math.nan)), Series("b", [(1, 0.5)]), unit="%")

    assert line_chart.epochs == [0, 1]
    assert line_chart.columns == [[12.35, None], [None, 50.0]]


def test_the_pointer_finds_the_same_numbers_in_the_page(make_run: MakeRun) -> None:
    page = section(make_run(2), "curves")

    stored = re.search(r'data-x="([^"]*)" data-y="([^"]*)"', page)
    assert stored is not None
    assert json.loads(unescape(stored[1])) == [0, 1]
    assert json.loads(unescape(stored[2])) == [[0.6, 0.7], [0.9, 0.9], [0.6, 0.7]]


def test_of_many_epochs_the_pointer_can_choose_the_last() -> None:
    epochs = chart(Series("a", line(*range(2501))), last=2500).epochs

    assert len(epochs) <= 1000
    assert epochs[-1] == 2500


def test_the_description_says_last_least_and_greatest(make_run: MakeRun) -> None:
    run = make_run()
    (run / "metrics.csv").write_text("epoch,val/dice,val/ema_dice\n0,0.2,1\n1,0.8,1\n2,0.6,1\n")

    page = " ".join(section(run, "curves").split())

    assert 'aria-label="Measure: dice over epochs. validation tiles: last 0.6000, ' in page
    assert "validation tiles: last 0.6000, least 0.2000, greatest 0.8000; " in page


def test_a_logarithmic_chart_leaves_out_what_has_no_logarithm() -> None:
    assert path(line(0.0, 1e-3, 1e-4), log=True).count("L") == 1


def test_a_line_with_a_spike_gets_a_logarithmic_axis() -> None:
    spike = [0.5] * 7 + [500.0] + [0.5] * 12

    assert chart(Series("a", line(*spike)), log=None).axis.log
    assert not chart(Series("a", line(*[0.5, 0.6] * 10)), log=None).axis.log


def test_a_level_is_marked_where_the_axis_reaches_it() -> None:
    levels = [(0.5, "half"), (math.inf, "never")]

    line_chart = chart(Series("a", line(0.0, 1.0)), levels=levels)

    assert line_chart.level_marks == [(50, "half")]

from __future__ import annotations

import json
import math
import re
from html import unescape

from vesuv.report.page_charts import Chart, Series, draw, thinned
from vesuv.report.page_files import Point
from vesuv.report.page_timeline import PhaseSpan, Timeline

PHASES = (PhaseSpan(0, 0, 3, "dice 1"), PhaseSpan(1, 4, None, "focal 1"))


def timeline(last: int) -> Timeline:
    return Timeline(last, PHASES, ())


def paths(chart: Chart, last: int = 9) -> list[str]:
    return re.findall(r'class="line c\d"[^>]* d="([^"]+)"', draw(chart, timeline(last)))[1:]


def line(*values: float) -> list[Point]:
    return [(float(epoch), value) for epoch, value in enumerate(values)]


def test_a_line_runs_from_the_first_epoch_to_the_last() -> None:
    (path,) = paths(Chart("Loss", [Series("a", line(0.0, 1.0), 0)]), last=1)

    assert path == "M250.0 1000.0L750.0 0.0"


def test_a_line_is_broken_where_a_value_is_no_number() -> None:
    (path,) = paths(Chart("Loss", [Series("a", line(1, 2, math.nan, 3, math.inf, 4), 0)]))

    assert path.count("M") == 3


def test_a_total_is_not_drawn_across_a_change_of_phase() -> None:
    points = line(*range(10))
    (broken,) = paths(Chart("Loss", [Series("a", points, 0)], breaks=True))
    (whole,) = paths(Chart("Loss", [Series("a", points, 0)]))

    assert (broken.count("M"), whole.count("M")) == (2, 1)


def test_a_chart_without_a_number_is_left_out() -> None:
    assert (
        draw(Chart("Loss", [Series("a", line(math.nan), 0), Series("b", [], 1)]), timeline(1)) == ""
    )


def test_thinning_keeps_every_peak_and_both_ends_of_a_long_line() -> None:
    points = line(*(0.5 + 1e-4 * (epoch % 7) for epoch in range(10_000)))
    points[4321] = (4321.0, 9.0)
    points[8765] = (8765.0, -9.0)

    kept = thinned(points)

    assert len(kept) <= 700
    assert {(4321.0, 9.0), (8765.0, -9.0), points[-1]} <= set(kept)
    assert kept == sorted(kept)
    assert thinned(points[:100]) == points[:100]


def test_the_pointer_reads_the_numbers_that_were_written() -> None:
    series = [Series("a", line(0.123456, math.nan), 0), Series("b", [(1.0, 0.5)], 1)]

    html = draw(Chart("Share", series, share=True), timeline(1))

    stored = {k: unescape(v) for k, v in re.findall(r'data-([xy])="([^"]*)"', html)}
    assert json.loads(stored["x"]) == [0, 1]
    assert json.loads(stored["y"]) == [[12.35, None], [None, 50.0]]


def test_the_legend_and_the_description_say_last_least_and_greatest() -> None:
    html = draw(Chart("Measure", [Series("tiles", line(0.2, 0.8, 0.6), 0)]), timeline(2))

    assert "tiles <b>0.6000</b>" in html
    assert "tiles: last 0.6000, least 0.2000, greatest 0.8000" in html


def test_a_logarithmic_chart_leaves_out_what_has_no_logarithm() -> None:
    (path,) = paths(Chart("Rate", [Series("a", line(0.0, 1e-3, 1e-4), 0)], log=True))

    assert path.count("L") == 1

"""The page of a study: places of its curves, and names as text."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vesuv.io.tables import TextTable
from vesuv.report.figures import study_curves
from vesuv.report.study import ArmCurve, CurvePlot, StudyPage, write_study_page

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"
CURVES = [
    ArmCurve("a", 0, [(1.0, 10, 0.2), (2.0, 20, 0.6)]),
    ArmCurve("a", 0, [(1.0, 10, 0.3), (2.0, 20, 0.7)]),
    ArmCurve(HOSTILE, 1, [(4.0, 10, 0.5)]),
]


def page(*curves: ArmCurve, num_finished: int = 3) -> StudyPage:
    return StudyPage(
        name="terms",
        num_runs=4,
        num_finished=num_finished,
        num_failed=1,
        sentences=["Base x."],
        results=[TextTable("Scores", ["arm", "dice"], [[HOSTILE, "0.5"]])],
        runs=TextTable("Each run", ["arm"], [["a"], ["b"]]),
        run_pages=["a/fold_0_seed_0/report.html", ""],
        arms=TextTable("Arms", ["arm"], [["a"]]),
        measure="dice",
        judged="validation tiles",
        curves=curves,
    )


def test_curves_lie_where_their_points_are() -> None:
    plot = CurvePlot("Dice", CURVES, lambda point: point[0])

    low, high = plot.side.low, plot.side.high
    assert (low, high) == pytest.approx((0.17, 0.73))  # 0.06 * (0.7 - 0.2) beyond both ends
    # horizontally minutes of 4 * 1.04, upwards (value - 0.17) / 0.56
    assert plot.path(CURVES[0]) == "M24.04 5.36L48.08 76.79"
    assert plot.dots(CURVES[2]) == "M96.15 58.93h0"


def test_an_arm_has_one_colour_and_one_place_in_the_legend() -> None:
    legend = CurvePlot("Dice", CURVES, lambda point: point[1]).legend

    assert [(curve.arm, curve.colour, values) for curve, values in legend] == [
        ("a", 0, "0.6000, 0.7000"),
        (HOSTILE, 1, "0.5000"),
    ]
    eighth = ArmCurve("h", 8, ())
    assert (eighth.colour, eighth.dash) == (1, 1)


def test_the_page_is_valid_and_shows_names_as_text(tmp_path: Path) -> None:
    text = write_study_page(tmp_path, page(*CURVES), now=NOW).read_text()

    parser = _Tags()
    parser.feed(text)
    assert parser.open == []
    assert not any(name == "script" or name.startswith("on") for name in parser.seen)
    assert text.count("&lt;script&gt;") >= 4  # table, two legends, two descriptions
    assert '<td><a href="a/fold_0_seed_0/report.html">a</a></td>' in text
    assert "<td>b</td>" in text
    assert 'class="state ended"' in text and "3 of 4 runs finished, 1 failed." in text
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src-elem 'sha256-{digest}'" in text


def test_a_study_that_runs_without_a_curve_has_a_page(tmp_path: Path) -> None:
    text = write_study_page(tmp_path, page(num_finished=0), now=NOW).read_text()

    assert 'class="state running"' in text
    assert 'id="curves"' not in text


def test_the_figure_is_written(tmp_path: Path) -> None:
    study_curves(tmp_path / "curves.png", CURVES, measure="dice", title="$terms")

    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


class _Tags(HTMLParser):
    """Elements that are open; and all elements and event attributes that were seen."""

    _VOID = ("meta", "br", "img", "path", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen |= {tag, *(name for name, _ in attrs if name.startswith("on"))}
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._VOID:
            assert self.open.pop() == tag

"""The page of a study: tables of its arms, and their validation curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from markupsafe import Markup

from vesuv.io.atomic import write_text
from vesuv.io.tables import TextTable
from vesuv.report.axis import Axis, Tick, linear
from vesuv.report.formats import number_text
from vesuv.report.page import digest, render_template

NAME = "study.html"
_NUM_COLOURS = 7
_NUM_DASHES = 4

StudyPoint = tuple[float, int, float]
"""Minutes of training, steps, and the measure on the validation tiles."""


@dataclass(frozen=True)
class ArmCurve:
    """Validation curve of one run."""

    arm: str
    number: int
    """Position of the arm in the study."""
    points: Sequence[StudyPoint]

    @property
    def colour(self) -> int:
        return self.number % _NUM_COLOURS

    @property
    def dash(self) -> int:
        """Dash pattern, which tells arms of one colour apart."""
        return self.number // _NUM_COLOURS % _NUM_DASHES


@dataclass(frozen=True)
class CurvePlot:
    """Validation curves of all runs over minutes or over steps."""

    title: str
    curves: Sequence[ArmCurve]
    position: Callable[[StudyPoint], float]
    """Place of a point on the horizontal axis."""

    @cached_property
    def side(self) -> Axis:
        values = [value for curve in self.curves for _, _, value in curve.points]
        return linear(values, min_length=0.1)

    @cached_property
    def bottom(self) -> Axis:
        ends = [self.position(point) for curve in self.curves for point in curve.points]
        return Axis(0.0, 1.04 * max(ends))

    @property
    def bottom_ticks(self) -> list[Tick]:
        return self.bottom.ticks(6)

    def path(self, curve: ArmCurve) -> Markup:
        """Return a curve as an SVG path in a box of 100 by 100, y upwards."""
        return Markup("M" + "L".join(self._places(curve)))

    def dots(self, curve: ArmCurve) -> Markup:
        """Return the marks of its points as an SVG path."""
        return Markup("".join(f"M{place}h0" for place in self._places(curve)))

    @property
    def legend(self) -> list[tuple[ArmCurve, str]]:
        """The first curve of each arm, and the last values of its runs in words."""
        by_arm: dict[str, list[ArmCurve]] = {}
        for curve in self.curves:
            by_arm.setdefault(curve.arm, []).append(curve)
        return [
            (curves[0], ", ".join(number_text(curve.points[-1][2]) for curve in curves))
            for curves in by_arm.values()
        ]

    def _places(self, curve: ArmCurve) -> list[str]:
        return [
            f"{self.bottom.at(self.position(point)):g} {self.side.at(point[2]):g}"
            for point in curve.points
        ]


@dataclass(frozen=True)
class StudyPage:
    """Content of the page."""

    name: str
    num_runs: int
    num_finished: int
    num_failed: int
    sentences: Sequence[str]
    results: Sequence[TextTable]
    """Tables of arms."""
    runs: TextTable
    run_pages: Sequence[str]
    """Address of the page of each run in the table, from the study's folder; empty without one."""
    arms: TextTable
    """What each arm changes."""
    measure: str
    """Measure of the curves."""
    judged: str
    """What they are measured on."""
    curves: Sequence[ArmCurve]
    """Those that have points."""

    @property
    def plots(self) -> list[CurvePlot]:
        """The curves over minutes and over steps; none without a curve."""
        if not self.curves:
            return []
        title = f"{self.measure} on the {self.judged}"
        return [
            CurvePlot(f"{title}, by minutes of training", self.curves, lambda point: point[0]),
            CurvePlot(f"{title}, by steps", self.curves, lambda point: point[1]),
        ]


def write_study_page(folder: Path, page: StudyPage, *, now: datetime | None = None) -> Path:
    """Write study.html into a study's folder.

    Args:
        folder: The study's folder.
        page: Its content.
        now: Time of writing, shown on the page; None: the current time.

    Returns:
        Path of the page.

    Raises:
        InputError: The page cannot be written.
    """
    style = render_template("page.css")
    text = render_template(
        "study.html",
        page=page,
        now=now or datetime.now().astimezone(),
        style=style,
        digest=digest(style),
    )
    write_text(folder / NAME, f"{text}\n")
    return folder / NAME

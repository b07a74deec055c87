"""Line charts over epochs, which templates/charts.html draws: lines as SVG, text as HTML.

Without JavaScript, the legend shows the last value of each line. With it, the pointer selects
another epoch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from markupsafe import Markup

from vesuv.report.axis import Axis, Tick, linear, logarithmic
from vesuv.report.formats import is_number, number_text, percent
from vesuv.report.timeline import Timeline
from vesuv.runs.history import Metrics, Point

_MAX_DRAWN_POINTS = 600
"""Longer lines are drawn with the minimum and maximum of each bucket only."""
_MAX_EPOCHS = 1000
"""Maximum number of epochs that the pointer can select."""
_MAX_DOTS = 40
"""Every point is marked on lines of at most this many points."""


@dataclass(frozen=True)
class Series:
    """A line with its colour and dash pattern."""

    name: str
    points: Sequence[Point]
    """Points by epoch; nan and inf are gaps."""
    colour: int = 0
    dash: int = 0

    @classmethod
    def of(cls, metrics: Metrics, column: str, name: str, colour: int = 0, dash: int = 0) -> Series:
        """Return the line of a column of metrics.csv."""
        return cls(name, metrics.points(column, finite=False), colour, dash)

    @cached_property
    def finite(self) -> list[Point]:
        return [point for point in self.points if is_number(point[1])]


@dataclass(frozen=True)
class Chart:
    """Lines over the epochs of a run, and their axis."""

    timeline: Timeline
    title: str
    lines: Sequence[Series]
    """Lines without a number are not drawn."""
    unit: Literal["", "%", "count"] = ""
    """%: values are shares, shown in per cent."""
    log: bool | None = False
    """Logarithmic axis; None: if the values have spikes."""
    include_zero: bool = False
    """The axis begins at 0."""
    min_length: float = 0.0
    """Minimum length of the axis."""
    levels: Sequence[tuple[float, str]] = ()
    """Values with a name, drawn as horizontal lines."""
    break_at_phases: bool = False
    """Interrupt the lines at each change of phase, where the loss becomes another function."""
    wide: bool = False

    @cached_property
    def drawn_lines(self) -> list[Series]:
        return [line for line in self.lines if line.finite]

    @cached_property
    def axis(self) -> Axis:
        values = [value for line in self.drawn_lines for _, value in line.finite]
        values += [value for value, _ in self.levels if is_number(value)]
        log = _has_spikes(values) if self.log is None else self.log
        if log and max(values) > 0:
            return logarithmic(values)
        return linear(
            values,
            include_zero=self.include_zero,
            min_length=self.min_length,
            in_percent=self.unit == "%",
        )

    @property
    def level_marks(self) -> list[Tick]:
        """Position and name of the levels on the axis."""
        marks = [(self.axis.at(value), name) for value, name in self.levels if is_number(value)]
        return [mark for mark in marks if 0 <= mark[0] <= 100]

    @cached_property
    def epochs(self) -> list[int]:
        """Epochs that the pointer can select, including the last one."""
        epochs = sorted({epoch for line in self.drawn_lines for epoch, _ in line.points})
        return epochs[:: -math.ceil(len(epochs) / _MAX_EPOCHS)][::-1]

    @property
    def columns(self) -> list[list[float | None]]:
        """Values of each line at `epochs`, to four digits; None where the line has no value."""
        factor = 100 if self.unit == "%" else 1
        return [
            [float(f"{factor * values[e]:.4g}") if e in values else None for e in self.epochs]
            for values in (dict(line.finite) for line in self.drawn_lines)
        ]

    def value_text(self, value: float) -> str:
        """Return a value as text for the legend."""
        if self.unit == "%":
            return percent(value)
        return number_text(int(value) if self.unit == "count" and is_number(value) else value)

    def path(self, line: Series) -> Markup:
        """Return a line as an SVG path with gaps in a box of 100 by 100, y upwards."""
        return Markup("".join("M" + "L".join(part) for part in self._parts(line)))

    def dots(self, line: Series) -> Markup:
        """Return the marks of a short line, and of single points between gaps, as an SVG path."""
        is_short = len(line.points) <= _MAX_DOTS
        parts = [part for part in self._parts(line) if is_short or len(part) == 1]
        return Markup("".join(f"M{point}h0" for part in parts for point in part))

    def _parts(self, line: Series) -> list[list[str]]:
        """Return the points between gaps and changes of phase, as "x y"."""
        phase_starts = self.timeline.phase_starts if self.break_at_phases else []
        parts: list[list[Point]] = [[]]
        phase = 0
        for epoch, value in line.points:
            is_drawn = is_number(value) and (value > 0 or not self.axis.log)
            previous_phase, phase = phase, sum(start <= epoch for start in phase_starts)
            if not is_drawn or phase != previous_phase:
                parts.append([])
            if is_drawn:
                parts[-1].append((epoch, value))
        x, y = self.timeline.at, self.axis.at
        return [[f"{x(e):g} {y(v):g}" for e, v in downsample(part)] for part in parts if part]


def downsample(points: Sequence[Point]) -> list[Point]:
    """Return the minimum and maximum of each bucket of neighbours, which keeps all peaks."""
    if len(points) <= _MAX_DRAWN_POINTS:
        return list(points)
    size = math.ceil(2 * len(points) / _MAX_DRAWN_POINTS)
    extremes: list[Point] = []
    for start in range(0, len(points), size):
        bucket = points[start : start + size]
        extremes += sorted({min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])})
    return extremes if extremes[-1] == points[-1] else [*extremes, points[-1]]


def _has_spikes(values: Sequence[float]) -> bool:
    """Return whether at least ten positive values have a maximum above 8 times the 90th percentile.

    Fewer values, and values of 0 or below, have no spikes.
    """
    ascending = sorted(values)
    if len(ascending) < 10 or ascending[0] <= 0:
        return False
    return ascending[-1] > 8 * ascending[int(0.9 * (len(ascending) - 1))]

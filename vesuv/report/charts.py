"""Line charts over epochs, as templates/charts.html draws them: lines in SVG, words in HTML.

A chart reads without its script: the legend holds each line's last value. The script of the page
lets the pointer choose another epoch.
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

_DRAWN = 600
"""Points of a line from which only the least and greatest of each bucket are drawn."""
_READ = 1000
"""Epochs at most that the pointer can choose."""
_DOTTED = 40
"""Points of a line up to which each is marked."""


@dataclass(frozen=True)
class Series:
    """A line; dashes as well as colour tell it from others."""

    name: str
    points: Sequence[Point]
    """By epoch; nan and inf are gaps."""
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
    """Lines over the epochs of a run, and how they are drawn."""

    timeline: Timeline
    title: str
    lines: Sequence[Series]
    """Those without a number are not drawn."""
    unit: Literal["", "%", "count"] = ""
    """%: values are shares, written in per cent."""
    log: bool | None = False
    """None: where spikes would flatten everything else on a linear axis."""
    zero: bool = False
    """The axis begins at 0."""
    least: float = 0.0
    """Least length of the axis."""
    levels: Sequence[tuple[float, str]] = ()
    """Values with a name, drawn across."""
    breaks: bool = False
    """The lines end at each change of phase: on its two sides they are different functions."""
    wide: bool = False

    @cached_property
    def series(self) -> list[Series]:
        return [line for line in self.lines if line.finite]

    @cached_property
    def axis(self) -> Axis:
        values = [value for line in self.series for _, value in line.finite]
        values += [value for value, _ in self.levels if is_number(value)]
        log = _has_spikes(values) if self.log is None else self.log
        if log and max(values) > 0:
            return logarithmic(values)
        return linear(values, zero=self.zero, least=self.least, share=self.unit == "%")

    @property
    def marks(self) -> list[Tick]:
        """Levels that lie on the axis."""
        marks = [(self.axis.at(value), name) for value, name in self.levels if is_number(value)]
        return [mark for mark in marks if 0 <= mark[0] <= 100]

    @cached_property
    def epochs(self) -> list[int]:
        """Epochs that the pointer can choose, the last one among them."""
        epochs = sorted({epoch for line in self.series for epoch, _ in line.points})
        return epochs[:: -math.ceil(len(epochs) / _READ)][::-1]

    @property
    def columns(self) -> list[list[float | None]]:
        """Each line's values at those epochs, to four digits; None where there is none."""
        factor = 100 if self.unit == "%" else 1
        return [
            [float(f"{factor * values[e]:.4g}") if e in values else None for e in self.epochs]
            for values in (dict(line.finite) for line in self.series)
        ]

    def written(self, value: float) -> str:
        """Write a value as the legend has it."""
        if self.unit == "%":
            return percent(value)
        return number_text(int(value) if self.unit == "count" and is_number(value) else value)

    def path(self, line: Series) -> Markup:
        """Return a line as an SVG path with gaps, in a box of 100 by 100, upwards."""
        return Markup("".join("M" + "L".join(part) for part in self._parts(line)))

    def dots(self, line: Series) -> Markup:
        """Return the marks of a short line, and of points alone between gaps, as an SVG path."""
        short = len(line.points) <= _DOTTED
        parts = [part for part in self._parts(line) if short or len(part) == 1]
        return Markup("".join(f"M{point}h0" for part in parts for point in part))

    def _parts(self, line: Series) -> list[list[str]]:
        """Points between gaps and changes of phase, as "x y"."""
        changes = self.timeline.changes if self.breaks else []
        parts: list[list[Point]] = [[]]
        phase = 0
        for epoch, value in line.points:
            drawn = is_number(value) and (value > 0 or not self.axis.log)
            former, phase = phase, sum(change <= epoch for change in changes)
            if not drawn or phase != former:
                parts.append([])
            if drawn:
                parts[-1].append((epoch, value))
        at, height = self.timeline.at, self.axis.at
        return [[f"{at(e):g} {height(v):g}" for e, v in thinned(part)] for part in parts if part]


def thinned(points: Sequence[Point]) -> list[Point]:
    """Keep the least and the greatest of each bucket of neighbours, so that no peak is lost."""
    if len(points) <= _DRAWN:
        return list(points)
    size = math.ceil(2 * len(points) / _DRAWN)
    kept: list[Point] = []
    for start in range(0, len(points), size):
        bucket = points[start : start + size]
        kept += sorted({min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])})
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def _has_spikes(values: Sequence[float]) -> bool:
    """Say whether the greatest of at least ten positive values is far above nine tenths of them."""
    ordered = sorted(values)
    if len(ordered) < 10 or ordered[0] <= 0:
        return False
    return ordered[-1] > 8 * ordered[int(0.9 * (len(ordered) - 1))]

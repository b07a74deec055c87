"""Line charts over epochs: lines in SVG stretched to the box, words in HTML that stays legible.

A chart reads without its script: the legend holds each line's last value. The script of the page
lets the pointer choose another epoch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from vesuv.report.page_files import Point, finite, number
from vesuv.report.page_scale import Scale, linear, logarithmic
from vesuv.report.page_text import figure, percent, text
from vesuv.report.page_timeline import Timeline

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
    colour: int
    dash: str = ""


@dataclass(frozen=True)
class Chart:
    """What a chart shows."""

    title: str
    series: Sequence[Series]
    note: str = ""
    log: bool = False
    share: bool = False
    """Values are shares, written in per cent."""
    zero: bool = False
    levels: Sequence[tuple[float, str]] = ()
    """Values with a name, drawn across."""
    breaks: bool = False
    """The lines end at each change of phase: on its two sides they are different functions."""
    whole: bool = False
    """Values are counts."""
    wide: bool = False


def draw(chart: Chart, timeline: Timeline) -> str:
    """Return a chart as HTML; empty where no line has a point."""
    series = [line for line in chart.series if finite(line.points)]
    if not series:
        return ""
    factor = 100.0 if chart.share else 1.0
    scale = _scale(chart, series, factor)
    cuts = timeline.changes if chart.breaks else []
    paths = "".join(_path(line, timeline, scale, factor, cuts) for line in series)
    levels = "".join(_level(value * factor, name, scale) for value, name in chart.levels)
    legend = "".join(_legend(line, chart) for line in series)
    said = " ".join(filter(None, (chart.note, "Logarithmic axis." if scale.log else "")))
    note = f'<p class="note">{said}</p>' if said else ""
    lanes, labels = (timeline.lanes(), "") if chart.wide else ("", timeline.labels())
    return (
        f'<figure class="chart{" wide" if chart.wide else ""}" data-low="{timeline.low:g}" '
        f'data-high="{timeline.high:g}"{_data(series, chart)}>\n'
        f'<figcaption><h3>{chart.title} <small class="when">{_until(series)}</small></h3>'
        f'{note}<ul class="legend">{legend}</ul></figcaption>\n{lanes}'
        f'<div class="plot">{_side(scale, factor, chart.whole)}'
        f'<div class="area" tabindex="0" role="img" aria-label="{_described(chart, series)}">'
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">'
        f"{timeline.backdrop()}{_grid(scale, chart.whole)}{paths}</svg>{labels}{levels}"
        f'<i class="cross"></i></div>{_bottom(timeline)}</div></figure>'
    )


def _scale(chart: Chart, series: Sequence[Series], factor: float) -> Scale:
    values = [value * factor for line in series for _, value in finite(line.points)]
    values += [value * factor for value, _ in chart.levels]
    if chart.log and any(value > 0 for value in values):
        return logarithmic(values)
    scale = linear([value / factor for value in values], zero=chart.zero)
    return Scale(scale.low * factor, scale.high * factor)


def _path(
    line: Series, timeline: Timeline, scale: Scale, factor: float, cuts: Sequence[float]
) -> str:
    """A line with gaps at numbers that are none, and dots where it is short."""
    written, dots = [], []
    for part in _parts(line.points, cuts, scale.log):
        at = [
            (f"{1000 * timeline.at(epoch):.1f}", f"{1000 * (1 - scale.at(value * factor)):.1f}")
            for epoch, value in thinned(part)
        ]
        written.append("M" + "L".join(f"{x} {y}" for x, y in at))
        if len(line.points) <= _DOTTED or len(part) == 1:
            dots += [f"M{x} {y}h0" for x, y in at]
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    marks = f'<path class="dot c{line.colour}" d="{"".join(dots)}"/>' if dots else ""
    return f'<path class="line c{line.colour}"{dash} d="{"".join(written)}"/>{marks}'


def _parts(points: Sequence[Point], cuts: Sequence[float], log: bool) -> list[list[Point]]:
    parts: list[list[Point]] = [[]]
    ahead = list(cuts)
    for epoch, value in points:
        if ahead and epoch >= ahead[0]:
            ahead = [cut for cut in ahead if cut > epoch]
            parts.append([])
        if number(value) and (value > 0 or not log):
            parts[-1].append((epoch, value))
        else:
            parts.append([])
    return [part for part in parts if part]


def thinned(points: Sequence[Point]) -> list[Point]:
    """Keep the least and the greatest of each bucket of neighbours, so that no peak is lost."""
    if len(points) <= _DRAWN:
        return list(points)
    size = math.ceil(2 * len(points) / _DRAWN)
    kept: list[Point] = []
    for start in range(0, len(points), size):
        bucket = points[start : start + size]
        ends = {min(bucket, key=lambda p: p[1]), max(bucket, key=lambda p: p[1])}
        kept += sorted(ends)
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def _data(series: Sequence[Series], chart: Chart) -> str:
    """The numbers behind the lines, for the pointer: JSON that needs no escaping."""
    epochs = sorted({epoch for line in series for epoch, _ in line.points})
    epochs = epochs[:: math.ceil(len(epochs) / _READ)]
    columns = []
    for line in series:
        known = dict(line.points)
        columns.append([_rounded(known.get(epoch), chart.share) for epoch in epochs])
    x = json.dumps([int(e) if e == int(e) else e for e in epochs], separators=(",", ":"))
    y = json.dumps(columns, separators=(",", ":"))
    unit = "%" if chart.share else "count" if chart.whole else ""
    return f' data-x="{x}" data-y="{y}" data-unit="{unit}"'


def _rounded(value: float | None, share: bool) -> float | None:
    if not number(value):
        return None
    return float(f"{value * (100 if share else 1):.4g}")


def _legend(line: Series, chart: Chart) -> str:
    last = line.points[-1][1]
    last = int(last) if chart.whole and number(last) else last
    shown = percent(last) if chart.share else figure(last)
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    key = (
        '<svg class="key" viewBox="0 0 22 8" aria-hidden="true">'
        f'<path class="line c{line.colour}"{dash} d="M1 4H21"/></svg>'
    )
    return f"<li>{key}{text(line.name)} <b>{shown}</b></li>"


def _level(value: float, name: str, scale: Scale) -> str:
    at = scale.at(value)
    if not 0 <= at <= 1:
        return ""
    side = " below" if at > 0.85 else ""
    return f'<i class="level{side}" style="bottom:{100 * at:.2f}%"><em>{text(name)}</em></i>'


def _grid(scale: Scale, whole: bool) -> str:
    lines = "".join(f"M0 {1000 * (1 - at):.1f}H1000" for at, _ in scale.ticks(whole=whole))
    return f'<path class="grid" d="{lines}"/>'


def _side(scale: Scale, factor: float, whole: bool) -> str:
    unit = "%" if factor != 1 else ""
    ticks = "".join(
        f'<span style="bottom:{100 * at:.2f}%">{label}{unit}</span>'
        for at, label in scale.ticks(whole=whole)
    )
    return f'<div class="side" aria-hidden="true">{ticks}</div>'


def _bottom(timeline: Timeline) -> str:
    ticks = "".join(
        f'<span style="left:{100 * at:.2f}%">{label}</span>' for at, label in timeline.ticks()
    )
    return f'<div class="bottom" aria-hidden="true">{ticks}</div>'


def _until(series: Sequence[Series]) -> str:
    return f"epoch {max(line.points[-1][0] for line in series):g}"


def _described(chart: Chart, series: Sequence[Series]) -> str:
    parts = []
    for line in series:
        values = [value for _, value in finite(line.points)]
        write = percent if chart.share else figure
        parts.append(
            f"{line.name}: last {write(values[-1])}, least {write(min(values))}, "
            f"greatest {write(max(values))}"
        )
    return text(f"{chart.title} over epochs. {'; '.join(parts)}.")

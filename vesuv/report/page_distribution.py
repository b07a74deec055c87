"""How probabilities and foreground fractions are distributed, and what selection made of it."""

from __future__ import annotations

import math
from typing import Any

from vesuv.report.page_files import Facts, RunFiles, mapping, number, records
from vesuv.report.page_groups import group_name
from vesuv.report.page_scale import Scale, linear, logarithmic
from vesuv.report.page_selection import selection
from vesuv.report.page_text import figure, percent, section, text

_TILES = 600
"""Tiles of the scatter that are drawn."""
_SHAPES = (
    "M-9 0a9 9 0 1 0 18 0a9 9 0 1 0-18 0z",
    "M-8-8h16v16h-16z",
    "M0-10L10 8H-10z",
    "M0-11L11 0L0 11L-11 0z",
    "M0 10L10-8H-10z",
    "M-3-10h6v7h7v6h-7v7h-6v-7h-7v-6h7z",
)
"""Marks around (0, 0): groups differ in shape as well as in colour."""


def distribution(files: RunFiles) -> str:
    """Return the section of histogram, scatter and selection; empty without any."""
    drawn = _histogram(files) + _scatter(files)
    charts = f'<div class="charts">{drawn}</div>' if drawn else ""
    body = charts + selection(files.selection)
    return section("distribution", "Distribution", body) if body else ""


def _histogram(files: RunFiles) -> str:
    line = files.latest("histogram")
    if line is None:
        return ""
    counts = [_counts(mapping(line["histogram"]).get(k)) for k in ("foreground", "background")]
    if not all(counts) or len(counts[0]) != len(counts[1]) or not any(map(sum, counts)):
        return ""
    cut = files.config.validation.threshold if files.config else 0.5
    shares = [[c / (sum(side) or 1) for c in side] for side in counts]
    scale = logarithmic([share for side in shares for share in side])
    areas = "".join(
        f'<path class="area c{colour}" d="{_steps(side, scale)}"/>'
        for side, colour in ((shares[1], 5), (shares[0], 0))
    )
    found, wrong = (sum(side[math.ceil(cut * len(side) - 1e-9) :]) for side in shares)
    ticks = [(at / 4, f"{at / 4:g}") for at in range(5)]
    names = (("labelled foreground", 0, found), ("labelled background", 5, wrong))
    legend = "".join(
        f'<li><svg class="key" viewBox="0 0 22 8" aria-hidden="true"><path class="area c{c}" '
        f'd="M1 0H21V8H1z"/></svg>{name}, <b>{percent(share)}</b> from {cut:g} on</li>'
        for name, c, share in names
    )
    side = "<em>threshold</em>" if cut <= 0.75 else ""
    area = (
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">'
        f'{_lines(scale)}{areas}</svg><i class="upright" style="left:{100 * cut:.2f}%">{side}</i>'
    )
    described = (
        f"Histogram: {percent(found)} of the labelled foreground and {percent(wrong)} of the "
        f"labelled background have a probability of {cut:g} or more."
    )
    note = (
        f"Share of each label's judged voxels, validation tiles, epoch {line['epoch']:g}; "
        "logarithmic."
    )
    return _plot(
        "Predicted probability of foreground", note, legend, area, described, scale.ticks(), ticks
    )


def _counts(value: Any) -> list[float]:
    if not isinstance(value, list) or not all(number(v) and v >= 0 for v in value):
        return []
    return [float(v) for v in value] if len(value) > 1 else []


def _steps(shares: list[float], scale: Scale) -> str:
    width = 1000 / len(shares)
    path = "M0 1000"
    for index, share in enumerate(shares):
        height = 1000 * (1 - scale.at(share)) if share > 0 else 1000.0
        path += f"L{index * width:.1f} {height:.1f}H{(index + 1) * width:.1f}"
    return f"{path}V1000z"


def _scatter(files: RunFiles) -> str:
    line = files.latest("tiles")
    tiles = [
        tile
        for tile in records((line or {}).get("tiles"))
        if number(tile.get("predicted")) and number(tile.get("labelled"))
    ]
    if line is None or not tiles:
        return ""
    values = [100 * tile[key] for tile in tiles for key in ("predicted", "labelled")]
    scale = linear([min(1.0, value / 100) for value in values], zero=True)
    scale = Scale(scale.low * 100, scale.high * 100)
    names = list(dict.fromkeys(group_name(tile) for tile in tiles))
    marks = "".join(_tile(tile, names.index(group_name(tile)), scale) for tile in tiles[:_TILES])
    legend = "".join(
        f'<li><svg class="key mark" viewBox="-13 -13 26 26" aria-hidden="true">{_shape(i)}</svg>'
        f"{text(name) if name else 'tiles'}</li>"
        for i, name in enumerate(names)
    )
    area = (
        f'<svg viewBox="0 0 1000 1000" aria-hidden="true">{_lines(scale)}'
        f'<path class="grid" d="{_verticals(scale)}"/><path class="diagonal" d="M0 1000L1000 0"/>'
        f'{marks}</svg><span class="corner high">too much</span>'
        '<span class="corner low">too little</span>'
    )
    over = sum(tile["predicted"] > tile["labelled"] for tile in tiles)
    described = (
        f"Predicted against labelled foreground of {len(tiles)} validation tiles: {over} predict "
        "more than is labelled."
    )
    note = (
        f"Predicted (upwards) against labelled (across), one mark a validation tile, epoch "
        f"{line['epoch']:g}; {over} of {len(tiles)} lie above the diagonal."
    )
    ticks = [(at, f"{label}%") for at, label in scale.ticks()]
    return _plot(
        "Foreground fraction by tile", note, legend, area, described, ticks, ticks, "square"
    )


def _tile(tile: Facts, group: int, scale: Scale) -> str:
    x = 1000 * scale.at(100 * tile["labelled"])
    y = 1000 * (1 - scale.at(100 * tile["predicted"]))
    words = (
        f"case {tile.get('case', '')}, {group_name(tile)}: predicted {percent(tile['predicted'])}, "
        f"labelled {percent(tile['labelled'])}, Dice {figure(tile.get('dice'))}"
    )
    return (
        f'<g transform="translate({x:.1f} {y:.1f})"><title>{text(words)}</title>{_shape(group)}</g>'
    )


def _shape(group: int) -> str:
    return f'<path class="mark c{group % 7}" d="{_SHAPES[group % len(_SHAPES)]}"/>'


def _lines(scale: Scale) -> str:
    lines = "".join(f"M0 {1000 * (1 - at):.1f}H1000" for at, _ in scale.ticks())
    return f'<path class="grid" d="{lines}"/>'


def _verticals(scale: Scale) -> str:
    return "".join(f"M{1000 * at:.1f} 0V1000" for at, _ in scale.ticks())


def _plot(
    title: str,
    note: str,
    legend: str,
    area: str,
    described: str,
    side: list[tuple[float, str]],
    bottom: list[tuple[float, str]],
    shape: str = "",
) -> str:
    left = "".join(f'<span style="bottom:{100 * at:.2f}%">{label}</span>' for at, label in side)
    below = "".join(f'<span style="left:{100 * at:.2f}%">{label}</span>' for at, label in bottom)
    return (
        f'<figure class="chart {shape}"><figcaption><h3>{title}</h3><p class="note">{note}</p>'
        f'<ul class="legend">{legend}</ul></figcaption><div class="plot">'
        f'<div class="side" aria-hidden="true">{left}</div><div class="area" role="img" '
        f'aria-label="{text(described)}">{area}</div>'
        f'<div class="bottom" aria-hidden="true">{below}</div></div></figure>'
    )

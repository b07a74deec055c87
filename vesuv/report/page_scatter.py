"""Predicted against labelled foreground, one mark a validation tile."""

from __future__ import annotations

from vesuv.report.page_files import Facts, RunFiles, number, records
from vesuv.report.page_groups import group_name
from vesuv.report.page_plot import grid, plot
from vesuv.report.page_scale import Scale, linear
from vesuv.report.page_text import figure, percent, text

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


def scatter(files: RunFiles) -> str:
    """Return the figure by the newest evidence; empty where there is none."""
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
        f'<svg viewBox="0 0 1000 1000" aria-hidden="true">{grid(scale)}'
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
    return plot(
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


def _verticals(scale: Scale) -> str:
    return "".join(f"M{1000 * at:.1f} 0V1000" for at, _ in scale.ticks())

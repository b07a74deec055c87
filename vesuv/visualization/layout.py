"""Panels with their captions and a legend on one white sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from vesuv.report.pictures import PROBABILITY_PALETTE
from vesuv.types import Array

_GAP, _MARGIN = 6, 8
_FONT_SIZE, _TEXT_HEIGHT = 13, 19
_SWATCH, _RAMP_LENGTH = 12, 80
_TEXT, _PAPER, _OUTLINE = "#202428", "white", "#9aa0a8"


@dataclass(frozen=True)
class Ramp:
    """Colours of numbers, from 0 to the largest."""

    name: str
    largest: str


@dataclass(frozen=True)
class Legend:
    """What the colours of a sheet mean."""

    colours: Sequence[tuple[str, str]] = ()
    """Colour and its name."""
    ramps: Sequence[Ramp] = ()


@dataclass(frozen=True)
class Tile:
    """A panel with the text above it."""

    panel: Image.Image
    caption: str


def scaled(panel: Array, voxel: tuple[float, float], size: int) -> Image.Image:
    """Return a panel whose longest edge is `size` pixels.

    Edges of the picture have the ratio of the slice's lengths. An axis that becomes shorter is
    averaged, one that becomes longer repeats its voxels.

    Args:
        panel: (rows, columns, 3), uint8.
        voxel: Lengths of a row and of a column.
        size: Pixels.
    """
    rows, columns = panel.shape[:2]
    height, width = rows * voxel[0], columns * voxel[1]
    longest = max(height, width)
    target = max(1, round(size * width / longest)), max(1, round(size * height / longest))
    picture = Image.fromarray(panel)
    for shape in ((target[0], rows), target):  # one axis at a time
        is_shorter = shape[0] < picture.width or shape[1] < picture.height
        method = Image.Resampling.BOX if is_shorter else Image.Resampling.NEAREST
        picture = picture.resize(shape, method)
    return picture


def sheet(rows: Sequence[Sequence[Tile]], legend: Legend) -> Image.Image:
    """Return tiles in rows, with the legend below them; all tiles have one size."""
    font = ImageFont.load_default(_FONT_SIZE)
    tile = rows[0][0].panel
    captions = [font.getlength(one.caption) for row in rows for one in row]
    cell_width = max([tile.width, *map(int, captions)]) + _GAP
    cell_height = tile.height + _TEXT_HEIGHT + _GAP
    entries = _entries(legend, font)
    least = max((length for *_, length in entries), default=0)
    width = max(max(map(len, rows)) * cell_width - _GAP, least) + 2 * _MARGIN
    lines = _lines(entries, width - 2 * _MARGIN)
    height = 2 * _MARGIN + len(rows) * cell_height - _GAP + len(lines) * _TEXT_HEIGHT
    picture = Image.new("RGB", (width, height + (_GAP if lines else 0)), _PAPER)
    draw = ImageDraw.Draw(picture)
    for line, row in enumerate(rows):
        top = _MARGIN + line * cell_height
        for place, one in enumerate(row):
            left = _MARGIN + place * cell_width
            draw.text((left, top), one.caption, fill=_TEXT, font=font)
            picture.paste(one.panel, (left, top + _TEXT_HEIGHT))
    top = _MARGIN + len(rows) * cell_height
    for line, line_entries in enumerate(lines):
        _draw_line(picture, line_entries, top + line * _TEXT_HEIGHT, font)
    return picture


_Entry = tuple[str | Ramp, str, int]
"""Colour or ramp, text, and length in pixels."""
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _entries(legend: Legend, font: _Font) -> list[_Entry]:
    entries: list[_Entry] = [
        (colour, name, _SWATCH + 20 + int(font.getlength(name))) for colour, name in legend.colours
    ]
    for ramp in legend.ramps:
        text = f"{ramp.name} 0 to {ramp.largest}"
        entries.append((ramp, text, _RAMP_LENGTH + 20 + int(font.getlength(text))))
    return entries


def _lines(entries: Sequence[_Entry], width: int) -> list[list[_Entry]]:
    """Break entries into lines."""
    lines: list[list[_Entry]] = []
    for entry in entries:
        if lines and sum(one[2] for one in lines[-1]) + entry[2] <= width:
            lines[-1].append(entry)
        else:
            lines.append([entry])
    return lines


def _draw_line(picture: Image.Image, entries: Sequence[_Entry], top: int, font: _Font) -> None:
    draw, left = ImageDraw.Draw(picture), _MARGIN
    for colour, text, length in entries:
        if isinstance(colour, Ramp):
            ramp = Image.fromarray(PROBABILITY_PALETTE[None].round().astype("uint8"))
            picture.paste(ramp.resize((_RAMP_LENGTH, _SWATCH)), (left, top + 3))
            end = left + _RAMP_LENGTH
        else:
            end = left + _SWATCH
            box = (left, top + 3, end, top + 3 + _SWATCH)
            draw.rectangle(box, fill=colour, outline=_OUTLINE)
        draw.text((end + 6, top), text, fill=_TEXT, font=font)
        left += length

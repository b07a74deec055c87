"""Slices of a scene as pictures: one under another with all panels, or many on a contact sheet."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from PIL import Image

from vesuv.errors import InputError
from vesuv.report.pictures import COLOURS, HATCH
from vesuv.types import Region
from vesuv.visualization.layout import Legend, Ramp, Tile, scaled, sheet
from vesuv.visualization.panels import (
    ERRORS,
    Style,
    available_panels,
    check_panels,
    paint,
    style_of,
)
from vesuv.visualization.scene import CLASS_LAYERS, INSTANCES, VALUE_LAYERS, Scene

AXES = "zyx"
_RANGE = re.compile(r"(\d*):(\d*)(?::(\d+))?")
_MOST_ROWS = 64
"""Slices of one picture."""


def chosen_slices(words: Sequence[str], num: int, axis: str = "z") -> list[int]:
    """Return slice numbers of words such as "7", "10:20" (20 left out), "0:96:8" or ":".

    Args:
        words: Numbers and ranges.
        num: Slices along the axis.
        axis: Name of the axis, for messages.

    Raises:
        InputError: A word is none of these, or there is no such slice.
    """
    chosen: list[int] = []
    for word in words:
        parts = _RANGE.fullmatch(word)
        if parts is None and not word.isdecimal():
            raise InputError(f"--slices: needs numbers or ranges such as 0:96:8, found {word!r}")
        if parts is None:
            numbers = range(int(word), int(word) + 1)
        else:
            start, stop, step = (int(text) if text else None for text in parts.groups())
            numbers = range(start or 0, num if stop is None else stop, max(step or 1, 1))
        if not numbers or numbers[-1] >= num:
            raise InputError(f"--slices: axis {axis} has slices 0 to {num - 1}, found {word}")
        chosen += numbers
    return chosen


def spread_slices(number: int, num: int) -> list[int]:
    """Return `number` slice numbers out of `num`, evenly spread; all of them if they are fewer."""
    number = min(number, num)
    return [(2 * place + 1) * num // (2 * number) for place in range(number)]


def slice_rows(
    scene: Scene,
    slices: Sequence[int],
    *,
    axis: str = "z",
    panels: Sequence[str] = (),
    size: int = 320,
) -> Image.Image:
    """Return a picture with a row for each slice: image, label, mask, errors and so on.

    Args:
        scene: The volumes.
        slices: Numbers of slices of the finest level.
        axis: z, y or x.
        panels: Panels of a row; all that the volumes allow if empty.
        size: Pixels of the longest edge of a panel.

    Raises:
        InputError: A volume cannot be read or is not given, or there are too many slices.
    """
    _check_number(slices)
    regions = [slice_region(scene, axis, number) for number in slices]
    panels = panels or available_panels(scene)
    style = _checked_style(scene, panels, regions)
    rows = [
        _row(scene, panels, _caption(axis, number), region, style, size)
        for number, region in zip(slices, regions, strict=True)
    ]
    return sheet(rows, legend_of(scene, panels, style))


def slice_frames(
    scene: Scene,
    slices: Sequence[int],
    *,
    axis: str = "z",
    panels: Sequence[str] = (),
    size: int = 320,
) -> Iterator[Image.Image]:
    """Yield a picture for each slice, for a film; arguments and errors are those of `slice_rows`.

    The first picture is made after label values and uncertainties of all slices were read.
    """
    regions = [slice_region(scene, axis, number) for number in slices]
    panels = panels or available_panels(scene)
    style = _checked_style(scene, panels, regions)
    legend = legend_of(scene, panels, style)
    width = len(str(max(slices)))
    for number, region in zip(slices, regions, strict=True):
        caption = f"{axis} {number:0{width}d}"  # captions of one length keep the size of the frames
        yield sheet([_row(scene, panels, caption, region, style, size)], legend)


def contact_sheet(
    scene: Scene,
    number: int = 12,
    *,
    axis: str = "z",
    panel: str | None = None,
    size: int = 200,
) -> Image.Image:
    """Return a picture of evenly spread slices, with one panel for each.

    Args:
        scene: The volumes.
        number: Slices.
        axis: z, y or x.
        panel: Panel of each slice; None: errors, or the first that is given of mask, label,
            probability, uncertainty and image.
        size: Pixels of the longest edge of a panel.

    Raises:
        InputError: A volume cannot be read or is not given, or there are too many slices.
    """
    slices = spread_slices(number, scene.full_shape[AXES.index(axis)])
    _check_number(slices)
    regions = [slice_region(scene, axis, one) for one in slices]
    panel = panel or main_panel(scene)
    style = _checked_style(scene, [panel], regions)
    tiles = [
        _row(scene, [panel], _caption(axis, one), region, style, size)[0]
        for one, region in zip(slices, regions, strict=True)
    ]
    columns = _columns(len(tiles), tiles[0].panel.height / tiles[0].panel.width)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    return sheet(rows, legend_of(scene, [panel], style))


def _columns(num: int, height_by_width: float) -> int:
    """Return columns of a sheet that is about 1.5 times as wide as high, with few empty places."""
    wanted = math.sqrt(num * 1.5 * height_by_width)
    near = range(max(1, math.floor(wanted)), max(1, math.floor(wanted)) + 3)
    return min(num, min(near, key=lambda columns: (-num % columns, abs(columns - wanted))))


def main_panel(scene: Scene) -> str:
    """Return the panel that says most about a scene."""
    order = (INSTANCES, ERRORS, "mask", "label", *VALUE_LAYERS, "image")
    return next(panel for panel in order if panel in available_panels(scene))


def legend_of(scene: Scene, panels: Sequence[str], style: Style) -> Legend:
    """Return the meaning of the colours of some panels."""
    colours: list[tuple[str, str]] = []
    if set(panels) & set(CLASS_LAYERS):
        colours += style.palette.legend
    if ERRORS in panels:
        kinds = [kind for kind in COLOURS if kind != "wrong_class" or style.palette.has_several]
        colours += [(COLOURS[kind], kind.replace("_", " ")) for kind in kinds]
    shows_classes = {ERRORS, *CLASS_LAYERS} & set(panels)
    if shows_classes and scene.labels is not None and scene.labels.ignore is not None:
        colours.append((HATCH[0], "ignored"))
    ramps = [Ramp("probability", "1")] if "probability" in panels else []
    if "uncertainty" in panels:
        ramps.append(Ramp("uncertainty", f"{style.largest_uncertainty:.2g} bit or more"))
    return Legend(colours, ramps)


def slice_region(scene: Scene, axis: str, number: int) -> Region:
    """Return the region of a slice of the finest level, in the level that is read."""
    place = AXES.index(axis)
    full, edge = scene.full_shape[place], scene.shape[place]
    index = min(number * edge // full, edge - 1)
    region = list(scene.whole)
    region[place] = slice(index, index + 1)
    return region[0], region[1], region[2]


def _checked_style(scene: Scene, panels: Sequence[str], regions: Sequence[Region]) -> Style:
    check_panels(scene, panels)
    return style_of(scene, regions)


def _check_number(slices: Sequence[int]) -> None:
    if len(slices) > _MOST_ROWS:
        raise InputError(
            f"a picture holds {_MOST_ROWS} slices at most, found {len(slices)}; name fewer, or "
            "write a film (.gif or .mp4) of --slices"
        )


def _row(
    scene: Scene, panels: Sequence[str], caption: str, region: Region, style: Style, size: int
) -> list[Tile]:
    axis = next(axis for axis, part in enumerate(region) if part.stop - part.start == 1)
    rows, columns = (edge for place, edge in enumerate(scene.spacing) if place != axis)
    tiles = []
    for panel in panels:
        text = caption if len(panels) == 1 else f"{caption}  {panel}"
        picture = paint(scene, panel, region, style)
        tiles.append(Tile(scaled(picture, (rows, columns), size), text))
    return tiles


def _caption(axis: str, number: int) -> str:
    return f"{axis} {number}"

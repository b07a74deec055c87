"""The phantom of the gallery, and rows of small pictures with a line of text below each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vesuv.data.phantom import UNLABELLED, phantom_volume
from vesuv.types import Array

IMAGES = Path(__file__).parents[1] / "images"
_SIZE, EDGE = 96, 48
"""Edges of the volume and of the cube that is shown, in voxels."""
_ZOOM = 4
_GAP = 6
_TEXT_HEIGHT = 22
_COLOURS = 96
"""Colours of a written picture: fewer make a smaller file."""
WHITE, ORANGE, BLUE = (232, 236, 241), (240, 150, 0), (96, 180, 240)
"""Kept, removed and added; people with any kind of colour vision can distinguish them."""
DARK, GREY = (24, 27, 32), (92, 96, 104)


def phantom(edge: int = EDGE) -> tuple[Array, Array, tuple[int, int, int]]:
    """Return image and label (z, y, x) of a phantom, and the corner of its best labelled cube."""
    image, label = phantom_volume(7, _SIZE, scroll=0)
    steps = (_SIZE - edge) // 8 + 1
    corners = [(8 * z, 8 * y, 8 * x) for z, y, x in np.ndindex(steps, steps, steps)]
    unlabelled = label == UNLABELLED
    return image, label, min(corners, key=lambda one: int(unlabelled[_box(one, edge)].sum()))


def labelled_cube(edge: int = EDGE) -> Array:
    """Return the label (z, y, x) of the best labelled cube."""
    _, label, corner = phantom(edge)
    return label[_box(corner, edge)]


def _box(corner: tuple[int, ...], edge: int) -> tuple[slice, ...]:
    return tuple(slice(start, start + edge) for start in corner)


def grey(image: Array, low: float, high: float) -> Array:
    """Return a slice (y, x) as grey colours (y, x, 3): black at `low`, white at `high`."""
    scaled = np.clip((image - low) / (high - low), 0, 1)
    return np.repeat((255 * scaled)[..., None], 3, axis=2)


def painted(shape: tuple[int, ...], *layers: tuple[Array, tuple[int, int, int]]) -> Array:
    """Return a dark picture (y, x, 3) with masks painted over it, the last one on top."""
    picture = np.full((*shape, 3), DARK, float)
    for mask, colour in layers:
        picture[mask] = colour
    return picture


def overlaid(picture: Array, mask: Array, colour: tuple[int, int, int], share: float) -> Array:
    """Return a picture in which a mask shines through in a colour."""
    mixed = picture.copy()
    mixed[mask] = (1 - share) * mixed[mask] + share * np.array(colour)
    return mixed


def signed(values: Array) -> Array:
    """Return values (y, x) as colours: blue above zero, orange below, dark at zero."""
    largest = max(float(np.percentile(np.abs(values), 99.5)), 1e-12)
    strength = np.clip(np.abs(values) / largest, 0, 1)[..., None] ** 0.6
    colour = np.where(values[..., None] > 0, np.array(BLUE), np.array(ORANGE))
    return (1 - strength) * np.array(DARK) + strength * colour


def write_row(path: Path, panels: Sequence[tuple[str, Array]]) -> None:
    """Write pictures (y, x, 3) side by side, each with its line of text below it."""
    tiles = [_enlarged(picture) for _, picture in panels]
    width = sum(tile.width for tile in tiles) + _GAP * (len(tiles) - 1)
    row = Image.new("RGB", (width, tiles[0].height + _TEXT_HEIGHT), "white")
    draw, font, left = ImageDraw.Draw(row), ImageFont.load_default(14), 0
    for (text, _), tile in zip(panels, tiles, strict=True):
        row.paste(tile, (left, 0))
        draw.text((left + 2, tile.height + 3), text, fill="black", font=font)
        left += tile.width + _GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    row.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def _enlarged(picture: Array) -> Image.Image:
    tile = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return tile.resize((tile.width * _ZOOM, tile.height * _ZOOM), Image.Resampling.NEAREST)

"""Sizes of panels, and sheets of them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vesuv.visualization.layout import Legend, Ramp, Tile, scaled, sheet


def test_a_panel_has_the_lengths_of_the_slice() -> None:
    panel = np.zeros((10, 20, 3), np.uint8)

    assert scaled(panel, (1.0, 1.0), 80).size == (80, 40)
    assert scaled(panel, (4.0, 1.0), 80).size == (40, 80)  # rows are 4 times as far apart
    assert scaled(np.zeros((1, 500, 3), np.uint8), (1.0, 1.0), 80).size == (80, 1)


def test_shorter_axes_are_averaged_and_longer_ones_repeat_their_voxels() -> None:
    panel = np.zeros((4, 1, 3), np.uint8)
    panel[1] = 200

    shorter = np.asarray(scaled(panel, (1.0, 4.0), 2))
    longer = np.asarray(scaled(panel, (1.0, 4.0), 8))

    assert shorter[:, 0, 0].tolist() == [100, 0]
    assert longer[:, 0, 0].tolist() == [0, 0, 200, 200, 0, 0, 0, 0]


def test_a_sheet_holds_each_tile_and_the_legend() -> None:
    tiles = [Tile(Image.new("RGB", (50, 30), colour), colour) for colour in ("red", "lime", "blue")]

    picture = sheet([tiles[:2], tiles[2:]], Legend([("#ff00ff", "a class")], [Ramp("p", "1")]))

    colours = {colour: count for count, colour in picture.getcolors(1 << 16)}
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        assert colours[colour] == 50 * 30
    assert colours[(255, 0, 255)] > 100
    ends = np.abs(np.array(list(colours)) - (255, 244, 190)).max(axis=1)  # of the ramp
    assert ends.min() < 8


def test_a_legend_that_is_too_long_goes_on_in_the_next_line() -> None:
    tile = Tile(Image.new("RGB", (100, 30)), "")
    entries = [("#ff00ff", f"class {k}") for k in range(9)]

    short, long = (sheet([[tile]], Legend(entries[:num])) for num in (1, 9))

    assert short.width == long.width
    assert long.height > short.height + 60

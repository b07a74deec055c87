"""Pictures of slices."""

from __future__ import annotations

import numpy as np
import pytest

from tests.visualization.scenes import ball, recorded, row_scene
from vesuv.errors import InputError
from vesuv.visualization.scene import scene_of
from vesuv.visualization.slices import (
    chosen_slices,
    contact_sheet,
    main_panel,
    slice_frames,
    slice_rows,
    spread_slices,
)


def test_slices_are_numbers_and_ranges() -> None:
    assert chosen_slices(["7", "10:13", "0:96:40", ":2", "94:"], 96) == [
        7, 10, 11, 12, 0, 40, 80, 0, 1, 94, 95,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("x", "needs numbers or ranges such as 0:96:8, found 'x'"),
        ("-1", "found '-1'"),
        ("96", "axis y has slices 0 to 95, found 96"),
        ("90:97", "axis y has slices 0 to 95, found 90:97"),
        ("5:5", "found 5:5"),
    ],
)
def test_other_words_are_refused(word: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        chosen_slices([word], 96, "y")


def test_slices_of_a_contact_sheet_are_evenly_spread() -> None:
    assert spread_slices(4, 96) == [12, 36, 60, 84]
    assert spread_slices(12, 3) == [0, 1, 2]
    assert spread_slices(1, 5) == [2]


def test_a_contact_sheet_reads_only_its_slices() -> None:
    scene, read = recorded({"image": np.zeros((50, 8, 8), np.uint8), "mask": ball(50)[:, :8, :8]})

    contact_sheet(scene, 5, panel="mask")

    for layer in read.values():
        assert {one[0].start for one in layer.regions} == {5, 15, 25, 35, 45}
        assert all(one[0].stop - one[0].start == 1 for one in layer.regions)


def test_slices_of_a_coarser_level_are_those_at_the_same_place() -> None:
    scene, read = recorded({"image": np.zeros((50, 8, 8), np.uint8)})
    coarse = type(scene)(scene.volumes, None, scene.names, (200, 32, 32), level=2)

    slice_rows(coarse, [0, 103, 199])

    assert {one[0].start for one in read["image"].regions} == {0, 25, 49}


def test_a_row_holds_all_panels_and_a_film_one_frame_a_slice() -> None:
    volume = ball()
    scene = scene_of({"image": 100.0 * volume, "label": volume, "mask": volume}, (3.0, 1.0, 1.0))

    one = slice_rows(scene, [8], panels=["image"], size=50)
    two = slice_rows(scene, [8], size=50)
    frames = list(slice_frames(scene, [2, 8, 13], size=50))

    assert two.width > 3 * one.width
    assert {frame.size for frame in frames} == {frames[0].size}
    assert len({frame.tobytes() for frame in frames}) == 3
    across = slice_rows(scene, [8], axis="x", panels=["image"], size=60)
    assert across.height > one.height  # 16 slices, three times as far apart as columns


def test_a_picture_of_very_many_slices_is_refused() -> None:
    scene = scene_of({"image": np.zeros((100, 2, 2), np.uint8)})

    with pytest.raises(InputError, match="a picture holds 64 slices at most, found 65"):
        slice_rows(scene, range(65))
    with pytest.raises(InputError, match="found 80"):
        contact_sheet(scene, 80)


def test_the_panel_that_says_most_is_shown() -> None:
    assert main_panel(row_scene(image=[0.0], label=[1], mask=[1])) == "errors"
    assert main_panel(row_scene(image=[0.0], mask=[1], probability=[1.0])) == "mask"
    assert main_panel(row_scene(image=[0.0], probability=[1.0])) == "probability"
    assert main_panel(row_scene(image=[0.0])) == "image"
    assert main_panel(row_scene(image=[0.0], mask=[1], instances=[7])) == "instances"

"""Colours of panels, told by hand from single voxels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageColor

from tests.visualization.scenes import row_scene
from vesuv.errors import InputError
from vesuv.report.instance_colours import instance_colours
from vesuv.types import Array
from vesuv.visualization.panels import available_panels, check_panels, paint, style_of
from vesuv.visualization.scene import Scene, scene_of

DARK = np.array(ImageColor.getrgb("#181b20"))
GREEN, ORANGE, BLUE, PURPLE = (
    np.array(ImageColor.getrgb(one)) for one in ("#00a87e", "#f09600", "#60b4f0", "#b43ce6")
)


def painted(scene: Scene, panel: str) -> Array:
    """Return the colours of the only row of a scene."""
    return paint(scene, panel, scene.whole, style_of(scene, [scene.whole]))[0].astype(int)


def test_the_range_of_intensities_is_drawn_from_black_to_white() -> None:
    colours = painted(row_scene(image=[10.0, 15.0, 20.0]), "image")

    assert colours[:, 0].tolist() == [0, 128, 255]
    assert (colours == colours[:, :1]).all()


def test_values_that_are_not_finite_are_drawn_and_do_not_count() -> None:
    colours = painted(row_scene(image=[0.0, np.nan, np.inf, 10.0]), "image")

    assert colours[:, 0].tolist() == [0, 0, 255, 255]


def test_errors_have_the_colours_of_the_report_over_a_darker_image() -> None:
    scene = row_scene(label=[1, 0, 1, 0], mask=[1, 1, 0, 0])

    colours = painted(scene, "errors")

    for colour, kind in zip(colours, (GREEN, ORANGE, BLUE), strict=False):
        assert colour == pytest.approx(0.25 * 0.6 * DARK + 0.85 * kind, abs=1)
    assert colours[3] == pytest.approx(0.6 * DARK, abs=1)


def test_ignored_voxels_are_striped_and_no_error() -> None:
    colours = painted(row_scene(label=[2, 2, 2, 2], mask=[1, 0, 1, 0]), "errors")

    stripes = {ImageColor.getrgb("#5c6068"), ImageColor.getrgb("#3a3d43")}
    assert {tuple(colour) for colour in colours.tolist()} == stripes


def test_several_classes_have_the_colours_of_the_report() -> None:
    scene = scene_of({"label": np.array([[[0, 1, 2]]]), "mask": np.array([[[0, 2, 2]]])})

    colours = painted(scene, "label")

    assert colours[0] == pytest.approx(DARK)
    assert colours[1] == pytest.approx(ImageColor.getrgb("#f0e442"))
    assert colours[2] == pytest.approx(ImageColor.getrgb("#d55e00"))
    assert painted(scene, "errors")[1] == pytest.approx(0.15 * DARK + 0.85 * PURPLE, abs=1)


def test_a_class_shines_through_over_the_image() -> None:
    colours = painted(row_scene(image=[0.0, 10.0], mask=[1, 1]), "mask")

    foreground = np.array(ImageColor.getrgb("#c8553d"))
    assert colours[0] == pytest.approx(0.6 * foreground, abs=1)
    assert colours[1] == pytest.approx(0.4 * 255 + 0.6 * foreground, abs=1)


def test_instances_have_the_colours_of_their_numbers_and_none_is_transparent() -> None:
    numbers = np.array([[[0, 1, 1, 70_000, 0]]], np.uint32)
    image = np.array([[[10, 20, 10, 10, 20]]], np.float32)
    first, other = instance_colours(np.array([1, 70_000]))

    alone = painted(scene_of({"instances": numbers}), "instances")
    over = painted(scene_of({"image": image, "instances": numbers}), "instances")

    assert alone[[0, 4]].tolist() == [DARK.tolist(), DARK.tolist()]
    assert alone[2].tolist() == first.tolist()
    assert alone[1] == pytest.approx(0.55 * first, abs=1)  # where the number changes
    assert alone[3] == pytest.approx(0.55 * other, abs=1)
    assert over[[0, 4], 0].tolist() == [0, 255]
    assert over[2] == pytest.approx(0.6 * first, abs=1)


def test_probability_and_uncertainty_take_the_whole_ramp() -> None:
    scene = row_scene(probability=[0.0, 1.0], uncertainty=[0.0, 0.25])

    for panel in ("probability", "uncertainty"):
        colours = painted(scene, panel)
        assert colours[0].tolist() == list(ImageColor.getrgb("#0a0e20"))
        assert colours[1].tolist() == list(ImageColor.getrgb("#fff4be"))


def test_colours_of_an_image_stay_as_they_are() -> None:
    picture = np.array([10, 200, 30], np.uint8).reshape(3, 1, 1, 1)

    assert painted(scene_of({"image": picture}), "image")[0].tolist() == [10, 200, 30]


@pytest.mark.parametrize(("axis", "expected"), [(0, (3, 4)), (1, (2, 4)), (2, (2, 3))])
def test_a_slice_across_each_axis_is_the_plane_of_the_other_two(
    axis: int, expected: tuple[int, int]
) -> None:
    image = np.arange(24.0).reshape(2, 3, 4)
    scene = scene_of({"image": image})
    region = [*scene.whole]
    region[axis] = slice(1, 2)

    panel = paint(scene, "image", tuple(region), style_of(scene, [scene.whole]))

    assert panel.shape == (*expected, 3)
    order = np.argsort(panel[..., 0].ravel(), kind="stable")
    assert (np.diff(image.take(1, axis).ravel()[order]) > 0).all()


def test_very_long_slices_are_thinned_out() -> None:
    scene = scene_of({"image": np.zeros((1, 3, 4001), np.uint8)})

    assert paint(scene, "image", scene.whole, style_of(scene, [scene.whole])).shape == (1, 1334, 3)


def test_panels_are_those_of_the_given_volumes() -> None:
    assert available_panels(row_scene(label=[0], mask=[1])) == ["label", "mask", "errors"]
    assert available_panels(scene_of({"instances": np.ones((1, 1, 1))})) == ["instances"]
    assert available_panels(row_scene(image=[0.0], uncertainty=[1.0])) == ["image", "uncertainty"]


def test_a_panel_without_its_volumes_is_refused() -> None:
    with pytest.raises(InputError, match="--show: errors needs --label; give it"):
        check_panels(row_scene(mask=[1]), ["mask", "errors"])
    with pytest.raises(InputError, match="--show: picture is no panel"):
        check_panels(row_scene(mask=[1]), ["picture"])

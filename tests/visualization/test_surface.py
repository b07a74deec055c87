"""Surfaces, drawn without a screen."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from tests.visualization.scenes import SHEET, ball, recorded
from vesuv.errors import InputError
from vesuv.report.instance_colours import instance_colours
from vesuv.types import Array
from vesuv.visualization import surface
from vesuv.visualization.meshes import surface_mesh
from vesuv.visualization.scene import Scene, scene_of
from vesuv.visualization.surface import surface_frames

pytest.importorskip("pyvista")


def share(picture, red: bool) -> float:
    """Return the share of the pixels that are clearly red, or clearly blue."""
    r, _, b = np.moveaxis(np.asarray(picture).astype(int), -1, 0)
    return float(((r - b) * (1 if red else -1) > 40).mean())


def share_of_instance(picture, number: int) -> float:
    """Return the share of the pixels that have the colour of an instance, lit or in shadow."""
    pixels = np.asarray(picture).astype(float)
    colour = instance_colours(np.array([number]))[0].astype(float)
    lengths = np.linalg.norm(pixels, axis=-1) * np.linalg.norm(colour)
    return float((pixels @ colour / np.maximum(lengths, 1) > 0.99).mean())


def two_balls(first: int, second: int) -> Array:
    """Return a large ball of one number behind a small one of another, along x."""
    volume = np.zeros((16, 16, 32), np.int32)
    volume[:, :, :16][ball(16, 6.0) > 0] = first
    volume[:, :, 16:][ball(16, 3.0) > 0] = second
    return volume


def single_view(scene: Scene, **options: object):
    (picture,) = surface_frames(scene, size=96, **options)
    return picture


def test_a_ball_is_drawn_in_the_colour_of_its_class() -> None:
    picture = single_view(scene_of({"mask": ball()}))

    assert 0.03 < share(picture, red=True) < 0.15
    assert share(picture, red=False) == 0


def test_each_class_has_its_colour() -> None:
    pair = np.concatenate([ball(), 3 * ball()], axis=2)  # yellow, and dark orange

    pixels = np.asarray(single_view(scene_of({"label": pair}))).astype(int)

    yellow = (pixels[..., 1] > 150) & (pixels[..., 2] < 100)
    orange = (pixels[..., 0] > 130) & (pixels[..., 1] < 120) & (pixels[..., 2] < 60)
    assert yellow.sum() > 300
    assert orange.sum() > 300


def test_errors_are_drawn_apart() -> None:
    label, mask = ball(), ball()
    label[:, :, :5], mask[:, :, 11:] = 0, 0

    picture = single_view(scene_of({"label": label, "mask": mask}, labels=SHEET))

    pixels = np.asarray(picture).astype(int)
    blue = (pixels[..., 2] - pixels[..., 0]) > 60  # missed
    orange = (pixels[..., 0] - pixels[..., 2]) > 60  # wrong
    green = (pixels[..., 1] - pixels[..., 0]) > 60  # right
    assert min(blue.sum(), orange.sum(), green.sum()) > 100


def test_a_turn_shows_other_sides_and_comes_back() -> None:
    volume = ball()
    volume[:, :8] = 0  # half a ball

    frames = list(surface_frames(scene_of({"mask": volume}), size=64, num_frames=4))

    assert len({frame.tobytes() for frame in frames}) == 4
    flat, round_side = sorted(share(frame, red=True) for frame in frames)[::3]
    assert flat < round_side


def test_values_colour_the_surface_of_the_mask() -> None:
    volume = ball()
    certain = scene_of({"mask": volume, "probability": volume.astype(np.float32)})
    uncertain = scene_of({"mask": volume, "probability": 0.2 * volume.astype(np.float32)})

    assert share(single_view(certain, panel="probability"), red=True) > 0.02
    assert share(single_view(uncertain, panel="probability"), red=False) > 0.02


def test_a_mesh_has_the_lengths_of_the_spacing() -> None:
    import pyvista

    mesh = surface_mesh(pyvista, np.ones((4, 5, 6), bool), (3.0, 1.0, 0.5))

    x_min, x_max, y_min, y_max, z_min, z_max = mesh.bounds
    assert (x_max - x_min, y_max - y_min, z_max - z_min) == pytest.approx((3, 5, 12), rel=0.2)


def test_each_instance_is_drawn_in_its_colour() -> None:
    picture = single_view(scene_of({"instances": two_balls(7, 90_000)}))

    assert 0.015 < share_of_instance(picture, 7) < 0.05
    assert 0.003 < share_of_instance(picture, 90_000) < 0.01
    assert share_of_instance(picture, 9) == 0


def test_instances_that_touch_keep_their_colours() -> None:
    volume = 3 * ball(16, 6.0).astype(np.int32)
    volume[:, :, 8:] *= 2  # halves 3 and 6
    views = list(surface_frames(scene_of({"instances": volume}), size=96, num_frames=4))

    for number in (3, 6):
        shares = sorted(share_of_instance(view, number) for view in views)
        assert shares[0] < 0.02 and shares[-1] > 0.05, "seen from its side alone"


def test_of_many_instances_the_largest_are_drawn_and_the_title_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(surface, "MOST_INSTANCES", 1)
    monkeypatch.setattr(surface, "sheet", drawn := Mock(wraps=surface.sheet))

    picture = single_view(scene_of({"instances": two_balls(9, 5)}))

    assert share_of_instance(picture, 9) > 0.01
    assert share_of_instance(picture, 5) == 0
    assert drawn.call_args.args[0][0][0].caption == "instances: 1 largest of 2"


def test_chosen_instances_are_drawn_alone() -> None:
    scene = scene_of({"instances": two_balls(9, 5), "mask": np.ones((16, 16, 32), np.uint8)})

    picture = single_view(scene, numbers=[5])

    assert share_of_instance(picture, 5) > 0.002
    assert share_of_instance(picture, 9) == 0
    with pytest.raises(InputError, match="--numbers: instances holds no instance 6; name another"):
        single_view(scene, numbers=[5, 6])
    with pytest.raises(InputError, match="--numbers: belongs to instances, found mask"):
        single_view(scene, numbers=[5], panel="mask")


def test_more_chosen_instances_than_colours_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surface, "MOST_INSTANCES", 1)

    with pytest.raises(InputError, match="a surface shows 1 instances, found 2; name fewer"):
        single_view(scene_of({"instances": two_balls(9, 5)}), numbers=[5, 9])


def test_a_small_instance_inside_cubes_of_a_larger_one_survives_the_reduction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(surface, "_MOST_VOXELS", 6**3)
    monkeypatch.setattr(surface, "_SLAB", 16 * 16 * 3)
    volume = np.full((18, 16, 16), 9)
    volume[0, 2:14, 2:14] = 2

    picture = single_view(scene_of({"instances": volume}))

    assert share_of_instance(picture, 2) > 0.005
    assert share_of_instance(picture, 9) > 0.1


def test_instances_are_drawn_before_a_mask_unless_a_panel_is_chosen() -> None:
    scene = scene_of({"mask": ball(), "instances": 4 * ball()}, labels=SHEET)

    assert share_of_instance(single_view(scene), 4) > 0.03
    assert share_of_instance(single_view(scene, panel="mask"), 4) == 0


def test_without_instances_there_is_no_surface() -> None:
    with pytest.raises(InputError, match="needs instances, instances holds none; give another"):
        single_view(scene_of({"instances": np.zeros((4, 4, 4), np.uint8)}))


def test_a_sheet_of_one_voxel_survives_the_reduction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surface, "_MOST_VOXELS", 6**3)
    monkeypatch.setattr(surface, "_SLAB", 16 * 16 * 3)
    sheet = np.zeros((17, 16, 16), np.uint8)
    sheet[7] = 1
    scene, read = recorded({"mask": sheet})

    picture = single_view(scene)

    assert share(picture, red=True) > 0.03
    assert max(one[0].stop - one[0].start for one in read["mask"].regions) == 3


def test_without_foreground_there_is_no_surface() -> None:
    empty = np.zeros((4, 4, 4), np.uint8)

    with pytest.raises(InputError, match="needs foreground voxels, mask holds none"):
        single_view(scene_of({"mask": empty}))
    with pytest.raises(InputError, match="needs foreground voxels, label and mask hold none"):
        single_view(scene_of({"mask": empty, "label": empty}))


def test_without_classes_there_is_no_surface() -> None:
    with pytest.raises(InputError, match="needs the classes of a --mask or --label"):
        single_view(scene_of({"image": ball()}))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvista", None)

    with pytest.raises(InputError, match=r"needs the package pyvista, .*install vesuv\[view\]"):
        single_view(scene_of({"mask": ball()}))


def test_without_a_library_to_draw_with_the_process_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from vtkmodules import vtkRenderingCore
    from vtkmodules.vtkRenderingOpenGL2 import vtkOSOpenGLRenderWindow

    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(vtkRenderingCore, "vtkRenderWindow", vtkOSOpenGLRenderWindow)
    monkeypatch.setattr(surface, "ctypes", SimpleNamespace(CDLL=missing))

    with pytest.raises(InputError, match="needs OpenGL, found no libEGL and no libOSMesa"):
        single_view(scene_of({"mask": ball()}))

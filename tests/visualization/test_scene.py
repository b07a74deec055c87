"""Volumes that are looked at together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from tests.visualization.scenes import SHEET
from vesuv.config.labels import LabelsConfig
from vesuv.errors import InputError
from vesuv.io.formats import Volume, write
from vesuv.io.pyramid import mean_of_eight, write_metadata, write_pyramid
from vesuv.io.sharded import ShardedArray
from vesuv.types import Array
from vesuv.visualization.scene import open_levels, open_scene, scene_of


def write_image(path: Path, array: Array, others: dict | None = None) -> Path:
    """Write an OME-Zarr image with its pyramid down to edges of 4."""
    zarr.open_group(str(path), mode="w", zarr_format=3)
    stored = ShardedArray.create(
        path / "0", array.shape, array.dtype, chunks=(4, 4, 4), shards=(8, 8, 8), fill_value=0
    )
    stored.write([slice(0, edge) for edge in array.shape], array)
    num = write_pyramid(path, mean_of_eight, smallest=4)
    like = Volume(array, (2.0, 1.0, 1.0), None, unit="µm")
    write_metadata(path, like, num, 3, {"vesuv": others or {}})
    return path


def test_volumes_of_different_shapes_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", np.zeros((2, 3, 4), np.uint8))
    write(tmp_path / "b.tif", np.zeros((2, 3, 5), np.uint8))

    with pytest.raises(InputError, match=r"b\.tif: image and mask of a case have one shape, found"):
        open_scene({"image": tmp_path / "a.tif", "mask": tmp_path / "b.tif"})


def test_a_view_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="needs a volume; give one of --image, --label"):
        open_scene({})


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(InputError, match="layers are some of image, label"):
        scene_of({"picture": np.zeros((1, 1, 1))})


def test_the_finest_level_that_is_small_enough_is_read(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", np.arange(16**3, dtype=np.uint16).reshape(16, 16, 16))

    scene = open_scene({"image": path}, largest_edge=8)

    assert (scene.level, scene.shape, scene.full_shape) == (1, (8, 8, 8), (16, 16, 16))
    assert scene.spacing == (4.0, 2.0, 2.0)
    assert scene.image(scene.whole)[0, 0, 0] == 137  # of 0, 1, 16, 17, 256, 257, 272, 273
    assert open_scene({"image": path}, level=2).shape == (4, 4, 4)


def test_only_levels_that_all_volumes_have_are_read(tmp_path: Path) -> None:
    array = np.zeros((16, 16, 16), np.uint8)
    write(tmp_path / "b.tif", array)
    paths = {"image": write_image(tmp_path / "a.zarr", array), "mask": tmp_path / "b.tif"}

    assert open_scene(paths, largest_edge=4).level == 0
    assert [one.shape[0] for one in open_levels({"image": paths["image"]})] == [16, 8, 4]
    assert len(open_levels(paths)) == 1


def test_levels_of_predict_are_probabilities_and_bits(tmp_path: Path) -> None:
    array = np.full((4, 4, 4), 99, np.uint8)
    probability = write_image(tmp_path / "p.zarr", array, {"levels": 200})
    uncertainty = write_image(tmp_path / "u.zarr", array, {"largest": 2.0})

    scene = open_scene({"probability": probability, "uncertainty": uncertainty})

    assert scene.values("probability", scene.whole)[0, 0, 0] == pytest.approx(0.4975)
    assert scene.values("uncertainty", scene.whole)[0, 0, 0] == pytest.approx(99 * 2 / 255)


def test_probabilities_in_bytes_are_parts_of_255(tmp_path: Path) -> None:
    write(tmp_path / "p.png", np.array([[[0, 51, 255]]], np.uint8))

    scene = open_scene({"probability": tmp_path / "p.png"})

    assert scene.values("probability", scene.whole).ravel() == pytest.approx([0, 0.2, 1])


def test_of_several_channels_the_probability_of_any_class_is_shown() -> None:
    probs = np.array([0.7, 0.2, 0.1], np.float32).reshape(3, 1, 1, 1)
    regions = LabelsConfig(
        classes={"background": 0, "a": 1, "b": 2}, regions={"both": ("a", "b"), "b": ("b",)}
    )

    classes = scene_of({"probability": probs})
    overlapping = scene_of({"probability": probs[1:]}, labels=regions)

    assert classes.values("probability", classes.whole).item() == pytest.approx(0.3)
    assert overlapping.values("probability", overlapping.whole).item() == pytest.approx(0.2)


def test_a_value_that_is_not_declared_is_refused_with_its_file(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", np.full((1, 2, 2), 7, np.uint8))
    scene = open_scene({"label": tmp_path / "a.tif"}, SHEET)

    with pytest.raises(InputError, match=r"a\.tif: label value 7 .* is not declared"):
        scene.classes("label", scene.whole)


def test_undeclared_values_point_to_the_option_for_instances(tmp_path: Path) -> None:
    scene = scene_of({"mask": np.arange(40).reshape(1, 5, 8)}, labels=SHEET)

    with pytest.raises(
        InputError, match=r"not declared.*; numbers of instances are drawn with --i"
    ):
        scene.classes("mask", scene.whole)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [(-1, "numbers of instances start at 0, found -1"), (0.5, "holds whole numbers, found 0.5")],
)
def test_what_is_no_number_of_an_instance_is_refused(value: float, sentence: str) -> None:
    scene = scene_of({"instances": np.full((1, 2, 2), value)})

    with pytest.raises(InputError, match=f"^instances: .*{sentence}"):
        scene.instances(scene.whole)


def test_numbers_of_instances_are_no_classes(tmp_path: Path) -> None:
    numbers = np.array([[[0, 300, 2**32 - 1]]], np.uint32)
    write(tmp_path / "a.nii.gz", numbers)

    scene = open_scene({"instances": tmp_path / "a.nii.gz"}, SHEET)

    assert scene.instances(scene.whole).tolist() == numbers.tolist()


def test_a_label_in_a_lossy_format_is_refused(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.jpg")

    with pytest.raises(InputError, match=r"a\.jpg: a label needs a lossless format"):
        open_scene({"label": tmp_path / "a.jpg"})
    with pytest.raises(InputError, match="a volume of instances needs a lossless format"):
        open_scene({"instances": tmp_path / "a.jpg"})
    assert open_scene({"image": tmp_path / "a.jpg"}).shape == (1, 8, 8)


def test_a_file_that_is_cut_off_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write(path, np.zeros((4, 8, 8), np.uint8))
    scene = open_scene({"image": path})
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(InputError, match=r"a\.npy: its voxels from \[0, 0, 0\] on .*truncated"):
        scene.image(scene.whole)


def test_three_channels_of_bytes_are_colours() -> None:
    picture = np.zeros((3, 1, 2, 2), np.uint8)
    picture[2] = 9

    scene = scene_of({"image": picture})

    assert scene.has_colours
    assert scene.image(scene.whole)[0, 0, 0].tolist() == [0, 0, 9]
    assert not scene_of({"image": picture.astype(np.float32)}).has_colours

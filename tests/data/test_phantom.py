"""The phantom is seeded, hard for a threshold, and written as a Kaggle data set."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from vesuv.config.data import DataConfig
from vesuv.data.layouts import find_cases
from vesuv.data.phantom import (
    BACKGROUND,
    SCROLL_PARAMETERS,
    SURFACE,
    UNLABELLED,
    _sheets,
    make_phantom,
    phantom_volume,
)
from vesuv.errors import InputError

SCROLLS = range(len(SCROLL_PARAMETERS))


def best_threshold_dice(image: np.ndarray, label: np.ndarray) -> float:
    """Dice of the best of all thresholds, on either side of them, over labelled voxels."""
    labelled = label != UNLABELLED
    surface = np.bincount(image[label == SURFACE], minlength=256)
    everything = np.bincount(image[labelled], minlength=256)
    scores = []
    for direction in (1, -1):
        hits = np.cumsum(surface[::direction])
        predicted = np.cumsum(everything[::direction])
        scores.append((2 * hits / (predicted + surface.sum())).max())
    return float(max(scores))


@pytest.mark.parametrize("scroll", SCROLLS)
def test_no_threshold_finds_the_surface(scroll: int) -> None:
    found, smoothed = [], []
    for seed in range(3):
        image, label = phantom_volume(seed, 96, scroll)
        blurred = ndimage.gaussian_filter(image.astype(np.float32), 1.0).astype(np.uint8)
        found.append(best_threshold_dice(image, label))
        smoothed.append(best_threshold_dice(blurred, label))

    assert np.mean(found) < 0.52
    assert np.mean(smoothed) < 0.52


@pytest.mark.parametrize("scroll", SCROLLS)
def test_surfaces_are_two_to_three_voxels_thick_and_half_is_unlabelled(scroll: int) -> None:
    image, label = phantom_volume(1, 96, scroll)

    inner = ndimage.distance_transform_edt(label == SURFACE)
    assert image.dtype == label.dtype == np.uint8
    assert set(np.unique(label)) == {BACKGROUND, SURFACE, UNLABELLED}
    assert np.quantile(inner[label == SURFACE], 0.99) <= 2.0
    assert 0.39 < (label == UNLABELLED).mean() < 0.61
    assert 0.1 < (label == SURFACE).sum() / (label != UNLABELLED).sum() < 0.35


def test_the_labelled_face_is_denser_than_its_neighbourhood() -> None:
    image, label = phantom_volume(0, 96, 0)
    surface = label == SURFACE
    near = ndimage.binary_dilation(surface, iterations=3) & (label == BACKGROUND)

    assert image[surface].mean() > image[near].mean() + 10


@pytest.mark.parametrize("scroll", SCROLLS)
def test_sheets_touch_somewhere_and_part_elsewhere(scroll: int) -> None:
    look = SCROLL_PARAMETERS[scroll]

    depth, _, _ = _sheets(np.random.default_rng([0, scroll]), 96, look)

    winding = ndimage.maximum_filter(depth, int(1.5 * look.pitch))
    assert winding.min() < look.thickness + 1
    assert np.median(winding) > look.thickness + 3


def test_a_volume_is_settled_by_its_seed_and_scroll() -> None:
    image, label = phantom_volume(4, 40, 1)

    again_image, again_label = phantom_volume(4, 40, 1)
    other, _ = phantom_volume(5, 40, 1)
    other_scroll, _ = phantom_volume(4, 40, 2)

    np.testing.assert_array_equal(image, again_image)
    np.testing.assert_array_equal(label, again_label)
    assert (image != other).mean() > 0.9
    assert (image != other_scroll).mean() > 0.9


def test_it_is_written_as_a_kaggle_data_set_with_held_out_volumes(tmp_path: Path) -> None:
    make_phantom(tmp_path, num_cases=4, size=24, seed=1, scrolls=2, num_test=1)

    cases = find_cases(DataConfig(root=str(tmp_path)))
    assert [case.group for case in cases] == ["0", "1", "0", "1"]
    assert len(list((tmp_path / "test_images").iterdir())) == 1
    assert len(list((tmp_path / "test_labels").iterdir())) == 1
    assert (tmp_path / "test.csv").read_text().splitlines()[0] == "id,scroll_id"
    with tifffile.TiffFile(cases[0].images[0]) as file:
        assert file.asarray().shape == (24, 24, 24)
        assert file.asarray().dtype == np.uint8
        assert file.pages[0].compression.name == "LZW"


def test_held_out_volumes_are_none_of_the_training_volumes(tmp_path: Path) -> None:
    make_phantom(tmp_path, num_cases=2, size=16, seed=0, num_test=2)

    volumes = [tifffile.imread(path) for path in sorted(tmp_path.glob("t*_images/*.tif"))]
    assert len({volume.tobytes() for volume in volumes}) == 4


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_phantom_is_replaced_and_files_beside_it_stay(tmp_path: Path) -> None:
    make_phantom(tmp_path, num_cases=3, size=32, seed=0, num_test=1)
    (tmp_path / "train_images/mine.tif").touch()
    with pytest.raises(InputError, match="holds train_images already; --overwrite replaces it"):
        make_phantom(tmp_path, num_cases=2, size=32, seed=0)

    make_phantom(tmp_path, num_cases=2, size=32, seed=1, overwrite=True)

    volumes = {f"train_{kind}/{case}.tif" for kind in ("images", "labels") for case in (2000, 2001)}
    assert names(tmp_path) - {"test.csv"} == volumes | {
        "train.csv",
        "phantom.json",
        "train_images/mine.tif",
    }


def test_a_data_set_that_is_no_phantom_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "train_labels").mkdir()
    (tmp_path / "train_labels/1000.tif").write_text("mine")

    with pytest.raises(InputError, match=r"train_labels is not of a phantom \(no phantom\.json"):
        make_phantom(tmp_path, num_cases=2, size=32, seed=0, overwrite=True)

    assert (tmp_path / "train_labels/1000.tif").read_text() == "mine"


def test_a_phantom_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train_images").symlink_to(tmp_path / "outside")

    with pytest.raises(InputError, match="train_images: is a symbolic link"):
        make_phantom(tmp_path / "data", num_cases=2, size=32, seed=0, overwrite=True)


@pytest.mark.parametrize("case", ["../mine", "/mine", 7, None])
def test_an_edited_list_deletes_nothing_elsewhere(tmp_path: Path, case: object) -> None:
    make_phantom(tmp_path, num_cases=2, size=32, seed=0)
    (tmp_path / "mine.tif").touch()
    (tmp_path / "phantom.json").write_text(json.dumps({"cases": {"train": [case], "test": case}}))

    make_phantom(tmp_path, num_cases=2, size=32, seed=0, overwrite=True)

    assert (tmp_path / "mine.tif").exists()

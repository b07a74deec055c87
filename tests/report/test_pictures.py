from __future__ import annotations

import base64
import gc
import io
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from tests.report.conftest import MakeRun, section, words, write_slices
from vesuv.report.pictures import png, read_slices


def decode(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.round(255 * imread(io.BytesIO(content))).astype(np.uint8)


@pytest.mark.parametrize("shape", [(5, 7), (3, 4, 3)])
def test_a_picture_is_read_back_by_another_library(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    assert np.array_equal(decode(png(Image.fromarray(pixels))), pixels)


def test_right_wrong_missed_and_ignored_voxels_have_colours_of_their_own(
    make_run: MakeRun,
) -> None:
    (slice_,) = read_slices(make_run() / "slices.npz")

    errors = decode(slice_.panels["errors"])
    true_positive, false_positive, false_negative, background = (
        errors[row, 0].astype(int) for row in (3, 4, 2, 0)
    )
    red, green, blue = range(3)
    assert true_positive.argmax() == green
    assert false_positive.argmax() == red
    assert false_negative.argmax() == blue
    assert len(set(background)) == 1
    assert len({tuple(colour) for colour in errors[:, 6:].reshape(-1, 3)}) == 2


def test_probabilities_run_from_dark_blue_to_pale_yellow(make_run: MakeRun) -> None:
    run = make_run()
    ramp = np.array([[[0, 128, 255]]], np.uint8)
    write_slices(run, image=ramp, label=ramp * 0, probability=ramp)
    (slice_,) = read_slices(run / "slices.npz")

    colours = decode(slice_.panels["probability"])[0, :, :3]

    assert colours[0].tolist() == [10, 14, 32]
    assert np.abs(colours[1].astype(int) - [120, 122, 128]).max() <= 1
    assert colours[2].tolist() == [255, 244, 190]


def test_voxels_are_counted_where_they_are_judged(make_run: MakeRun) -> None:
    page = words(section(make_run(), "slices"))

    assert "Dice 0.500: 6 true positive, 6 false positive, 6 false negative voxels; " in page
    assert "75.0 % of the slice is valid" in page


def test_case_names_are_escaped(make_run: MakeRun) -> None:
    run = make_run()
    write_slices(run, cases=np.array(["<i>"]))

    page = section(run, "slices")

    assert "Case &lt;i&gt;" in page
    assert "<i>" not in page


def test_the_number_of_a_slice_is_shown(make_run: MakeRun) -> None:
    run = make_run()
    assert "<h3>Case case_7</h3>" in section(run, "slices")

    write_slices(run, z=np.array([37]))
    page = section(run, "slices")

    assert "<h3>Case case_7, z = 37</h3>" in page
    assert 'alt="Label of case case_7, z = 37"' in page


@pytest.mark.parametrize("z", [np.array([1.5]), np.array([1, 2]), np.array("<b>")])
def test_an_invalid_slice_number_is_left_out(make_run: MakeRun, z: np.ndarray) -> None:
    run = make_run()
    write_slices(run, z=z)

    assert "<h3>Case case_7</h3>" in section(run, "slices")


@pytest.mark.parametrize(
    "changed",
    [
        {"image": np.zeros((8, 8), np.uint8)},
        {"label": np.zeros((1, 9, 8), np.uint8)},
        {"probability": np.zeros((1, 8, 8), np.float32)},
        {"threshold": np.array([])},
        {"image": np.array([{"a": 1}], dtype=object)},
        dict.fromkeys(("image", "label", "probability"), np.zeros((1, 0, 5), np.uint8)),
    ],
    ids=["flat", "other shape", "other type", "no threshold", "pickled", "empty"],
)
def test_unexpected_arrays_are_left_out(make_run: MakeRun, changed: dict[str, object]) -> None:
    run = make_run()
    write_slices(run, **changed)

    assert read_slices(run / "slices.npz") == []
    assert section(run, "slices") == ""


def test_a_missing_file_has_no_slices(tmp_path: Path) -> None:
    assert read_slices(tmp_path / "slices.npz") == []


def test_an_archive_that_was_cut_short_has_no_slices_and_is_closed(make_run: MakeRun) -> None:
    path = make_run() / "slices.npz"
    path.write_bytes(path.read_bytes()[:-30])

    assert read_slices(path) == []
    gc.collect()  # an open file would be reported here


def test_large_slices_are_shown_smaller(make_run: MakeRun) -> None:
    run = make_run()
    big = np.zeros((1, 700, 500), np.uint8)
    write_slices(run, image=big, label=big, probability=big)

    assert re.search('width="167" height="234"', section(run, "slices"))

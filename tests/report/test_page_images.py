from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread

from tests.report.conftest import MakeRun, write_slices
from vesuv.report.page_files import read_files
from vesuv.report.page_images import png, slices


def decoded(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.round(255 * imread(io.BytesIO(content))).astype(np.uint8)


@pytest.mark.parametrize("shape", [(5, 7), (3, 4, 3)])
def test_a_picture_is_read_back_by_another_library(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    assert np.array_equal(decoded(png(pixels)), pixels)


def test_right_wrong_missed_and_ignored_voxels_have_colours_of_their_own(
    make_run: MakeRun,
) -> None:
    html = slices(read_files(make_run()))

    errors = decoded(html.split('src="')[4].split('"')[0])
    right, extra, missed, nothing = (errors[row, 0].astype(int) for row in (3, 4, 2, 0))
    red, green, blue = range(3)
    assert right.argmax() == green
    assert extra.argmax() == red
    assert missed.argmax() == blue
    assert len(set(nothing)) == 1
    assert len({tuple(colour) for colour in errors[:, 6:].reshape(-1, 3)}) == 2


def test_case_names_are_escaped(make_run: MakeRun) -> None:
    run = make_run()
    write_slices(run, cases=np.array(["<i>"]))

    html = slices(read_files(run))

    assert "Case &lt;i&gt;" in html
    assert "<i>" not in html.replace('<i class="ramp"', "").replace("<i style", "")


@pytest.mark.parametrize(
    "changed",
    [
        {"image": np.zeros((8, 8), np.uint8)},
        {"label": np.zeros((1, 9, 8), np.uint8)},
        {"probability": np.zeros((1, 8, 8), np.float32)},
        {"threshold": np.array([])},
        {"image": np.array([{"a": 1}], dtype=object)},
    ],
    ids=["flat", "other shape", "other type", "no threshold", "pickled"],
)
def test_arrays_of_another_make_are_left_out(make_run: MakeRun, changed: dict[str, object]) -> None:
    run = make_run()
    write_slices(run, **changed)

    assert slices(read_files(run)) == ""


def test_large_slices_are_shown_smaller(make_run: MakeRun) -> None:
    run = make_run()
    big = np.zeros((1, 700, 500), np.uint8)
    write_slices(run, image=big, label=big, probability=big)

    assert 'width="167" height="234"' in slices(read_files(run))

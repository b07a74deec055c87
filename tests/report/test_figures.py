from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from vesuv.errors import InputError
from vesuv.report.figures import (
    ThresholdLine,
    calibration,
    distribution,
    save_figure,
    threshold_curves,
    triptych,
)
from vesuv.report.pictures import class_colours

TWO = ("background", "sheet")


def test_a_figure_that_the_disk_has_no_room_for_leaves_the_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(_figure: Figure, path: Path, **_settings: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "curves.png"
    path.write_bytes(b"former")
    monkeypatch.setattr(Figure, "savefig", full_disk)

    with pytest.raises(InputError, match=r"/curves\.png: cannot be written \(No space left"):
        save_figure(Figure(), path)

    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]
    assert path.read_bytes() == b"former"


def test_the_distribution_figure_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "distribution" / "histogram.png"
    thresholds = [0.3, 0.5, 0.7]
    lines = [
        ThresholdLine("best", thresholds, [0.4, 0.3, 0.2], [0.5, 0.7, 0.6]),
        ThresholdLine("swa", thresholds, [0.35, 0.28, 0.22], [0.55, 0.72, 0.66]),
    ]

    distribution(
        path,
        histogram=np.vstack([np.arange(50)[::-1] * 90 + 1, np.arange(50) * 5]),
        lines=lines,
        labelled_fraction=0.25,
        threshold=0.5,
        title="best at threshold 0.5",
    )

    assert imread(path).std() > 0.05


def test_a_distribution_without_thresholds_shows_the_histogram_alone(tmp_path: Path) -> None:
    path = tmp_path / "histogram.png"

    distribution(
        path,
        histogram=np.zeros((2, 50), dtype=np.int64) + 1,
        lines=[],
        labelled_fraction=0.0,
        threshold=None,
        title="softmax",
    )

    height, width = imread(path).shape[:2]
    assert width < 2 * height


def test_the_triptych_shows_the_slice_with_most_foreground(tmp_path: Path) -> None:
    image = np.zeros((4, 20, 20), dtype=np.uint8)
    image[2] = 200
    image[2, 5:9] = 90
    label = np.zeros((4, 20, 20), dtype=np.uint8)
    label[2, 5:9] = 1
    label[1] = 255  # ignored voxels are no foreground
    path = tmp_path / "triptych.png"

    triptych(image, label, label % 255, path, "demo", TWO)
    red = imread(path)[..., 0] - imread(path)[..., 2]

    assert red.max() > 0.2  # the foreground colour is there, in the label and in the prediction
    halves = red[:, red.shape[1] // 3 : 2 * red.shape[1] // 3], red[:, 2 * red.shape[1] // 3 :]
    assert all((half > 0.2).sum() > 500 for half in halves)


def test_several_classes_have_a_colour_each_in_the_triptych_and_its_legend(tmp_path: Path) -> None:
    names = ("background", "sheet", "$fibre$", "ink")
    label = np.zeros((1, 20, 20), dtype=np.uint8)
    label[0, :4], label[0, 8:12], label[0, 16:] = 1, 2, 255
    black = np.zeros_like(label)
    path = tmp_path / "triptych.png"

    triptych(black, label, label % 255, path, "demo", names)

    pixels = np.round(255 * imread(path)[..., :3]).astype(int)
    lowest = [0, 0, 0]
    for index, colour in enumerate(class_colours(3)):
        rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
        over_image = np.abs(pixels - 0.65 * rgb).max(axis=2) <= 2
        over_paper = np.abs(pixels - (0.65 * rgb + 0.35 * 255)).max(axis=2) <= 2
        assert (over_image.sum() > 500) == (names[index + 1] != "ink")
        assert over_paper.sum() > 50, colour  # in the legend
        lowest[index] = int(np.nonzero(over_paper.any(axis=1))[0].max())
    assert min(lowest) > 0.85 * len(pixels)


def test_a_title_is_no_formula_and_may_hold_any_byte(tmp_path: Path) -> None:
    empty = np.zeros((3, 8, 8), dtype=np.uint8)
    title = "$a_{$ $\\frac$ \x1b[1m\u202e" + os.fsdecode(b"\xe9")

    triptych(empty, empty, empty, tmp_path / "triptych.png", title, TWO)

    assert imread(tmp_path / "triptych.png").std() > 0.05


def test_a_flat_image_and_an_empty_label_are_drawn_too(tmp_path: Path) -> None:
    path = tmp_path / "triptych.png"
    empty = np.zeros((3, 8, 8), dtype=np.uint8)

    triptych(np.ones((3, 8, 8), dtype=np.float32), empty, empty, path, "nothing here", TWO)

    assert path.stat().st_size > 1000


def test_threshold_curves_are_a_picture(tmp_path: Path) -> None:
    scores = {"dice": [0.5, 0.7, 0.6], "predicted_fraction": [0.4, 0.3, 0.2]}

    threshold_curves(tmp_path / "c.png", [0.3, 0.5, 0.7], scores, threshold=0.5, title="best")

    assert imread(tmp_path / "c.png").std() > 0.05


def test_calibration_is_a_picture_and_empty_bins_are_left_out(tmp_path: Path) -> None:
    calibration(
        tmp_path / "c.png",
        voxels=np.array([90, 0, 10]),
        probability=np.array([9.0, 0.0, 9.5]),
        foreground=np.array([5, 0, 9]),
        title="best",
    )

    assert imread(tmp_path / "c.png").std() > 0.05

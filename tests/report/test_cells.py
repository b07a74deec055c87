"""Colours and pictures of cells."""

from pathlib import Path

import numpy as np
from PIL import Image

from vesuv.report.cells import cell_triptych, match_names


def test_the_largest_piece_of_a_cell_takes_its_name_and_others_a_new_one() -> None:
    truth = np.array([1, 1, 1, 1, 1, 2, 2, 2, 0])
    prediction = np.array([5, 5, 5, 7, 7, 8, 8, 8, 9])

    names = match_names(truth, prediction)

    assert (names[5], names[8]) == (1, 2)
    assert names[7] > 2 and names[9] > 2 and names[7] != names[9]


def test_a_cell_that_covers_two_has_the_name_of_the_larger() -> None:
    truth = np.array([1, 1, 2, 2, 2])

    assert match_names(truth, np.ones(5, int))[1] == 2


def test_a_name_is_taken_once() -> None:
    truth = np.array([1, 1, 1, 2, 2, 2, 2])
    prediction = np.array([4, 4, 5, 5, 6, 6, 6])  # 5 shares a voxel with both

    names = match_names(truth, prediction)

    assert (names[4], names[6]) == (1, 2)
    assert names[5] not in (1, 2)


def test_the_picture_has_the_colours_of_equal_cells_on_both_sides(tmp_path: Path) -> None:
    truth = np.zeros((3, 20, 20), int)
    truth[:, :, :9], truth[:, :, 10:] = 1, 2
    prediction = np.where(truth == 1, 8, 3)

    cell_triptych(truth * 50, truth, prediction, tmp_path / "a/b.png", "b: $x$")

    pixels = np.asarray(Image.open(tmp_path / "a/b.png").convert("RGB")).astype(int)
    width = pixels.shape[1]
    label, predicted = pixels[:, width // 3 : 2 * width // 3], pixels[:, 2 * width // 3 :]
    saturated = [
        {tuple(one) for one in part.reshape(-1, 3) if one.max() - one.min() > 100}
        for part in (label, predicted)
    ]
    common = saturated[0] & saturated[1]
    assert len(common) >= 2

"""The baseline finds the sinusoids that masks were drawn from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vesuv.curves.geometry import Borehole, angle_difference
from vesuv.curves.hough import HoughSettings, hough_picks
from vesuv.curves.logs import ImageLog
from vesuv.curves.masks import draw_mask, grey, read_probs, write_masks
from vesuv.curves.picks import Pick
from vesuv.errors import InputError
from vesuv.io import formats

HOLE = Borehole(200.0, 5.0)
PICKS = (
    Pick(40.0, 12.0, 200.0, kind=0),
    Pick(52.3, 55.0, 77.0, kind=1),
    Pick(58.0, 55.0, 260.0, kind=1),
    Pick(110.0, 0.0, 0.0, kind=0),
)


def probs_of(picks: tuple[Pick, ...], rows: int = 150) -> np.ndarray:
    kinds = [draw_mask([p for p in picks if p.kind == k], HOLE, (rows, 180)) for k in (0, 1)]
    return np.stack(kinds).clip(0, 1).astype(np.float32)


def test_the_sinusoids_of_a_mask_are_found_with_depth_dip_and_azimuth() -> None:
    found = hough_picks(probs_of(PICKS), HOLE, HoughSettings(threshold=0.6))

    assert [pick.kind for pick in found] == [pick.kind for pick in PICKS]
    for one, other in zip(found, PICKS, strict=True):
        assert one.row == pytest.approx(other.row, abs=1.0)
        assert one.dip == pytest.approx(other.dip, abs=3.0)
        assert other.dip == 0 or angle_difference(one.azimuth, other.azimuth) < 8


def test_gaps_lower_the_score_and_noise_makes_no_pick() -> None:
    probs = probs_of(PICKS[1:2])
    probs[:, :, 60:110] = 0.0
    probs += np.random.default_rng(0).uniform(0, 0.1, probs.shape).astype(np.float32)

    (pick,) = hough_picks(probs, HOLE, HoughSettings(threshold=0.5))

    assert 0.6 < pick.score < 0.9
    assert hough_picks(probs, HOLE, HoughSettings(threshold=0.9)) == ()


def test_a_mask_is_as_thick_across_a_steep_line_as_across_a_flat_one() -> None:
    flat = draw_mask([Pick(20.0, 0.0, 0.0, 0)], HOLE, (60, 90))
    steep = draw_mask([Pick(30.0, 60.0, 0.0, 1)], HOLE, (80, 90))

    assert (flat == 1).sum(axis=0).tolist() == [3] * 90
    assert set(np.unique(steep)) == {0, 2}
    assert (steep == 2).sum(axis=0).max() > 6


@pytest.fixture
def log() -> ImageLog:
    image = np.full((150, 180), 100.0, dtype=np.float32)
    image[:, :5] = np.nan
    return ImageLog("well", image, HOLE, group="g", picks=PICKS)


def test_pieces_of_a_log_are_counted_and_written(log: ImageLog, tmp_path: Path) -> None:
    other = ImageLog("other", log.image[:60], HOLE, group="h")
    assert write_masks(tmp_path / "whole", [[log]]) == {"cases": 1, "with_picks": 1, "picks": 4}
    assert write_masks(tmp_path / "cut", [[log], [other]], rows=50) == {
        "cases": 4,
        "with_picks": 3,
        "picks": 4,
    }

    image = formats.read(tmp_path / "cut/train_images/well_0001.png").array
    label = formats.read(tmp_path / "cut/train_labels/well_0001.png").array
    assert image.shape == (1, 50, 180)
    assert image[0, 0, :6].tolist() == [0, 0, 0, 0, 0, 100]
    np.testing.assert_array_equal(label[0], draw_mask(PICKS, HOLE, (150, 180))[50:100])
    assert (tmp_path / "cut/train.csv").read_text().splitlines()[1] == "well_0000,g"
    pieces = [f"well_{number:04d}" for number in range(3)]
    assert json.loads((tmp_path / "cut/splits_final.json").read_text()) == [
        {"train": ["other_0000"], "val": pieces},
        {"train": pieces, "val": ["other_0000"]},
    ]
    with pytest.raises(InputError, match=r"holds train.csv already"):
        write_masks(tmp_path / "cut", [[log]])


def test_other_numbers_than_bytes_are_stretched() -> None:
    values = grey(np.array([[np.nan, -1.0, 0.0, 1.0]], dtype=np.float32))

    assert values.tolist() == [[0, 1, 127, 255]]


def test_masks_and_probabilities_are_read_as_kinds(log: ImageLog, tmp_path: Path) -> None:
    mask = draw_mask(PICKS, HOLE, (150, 180))
    with pytest.raises(InputError, match=r"well: no volume of this name"):
        read_probs(tmp_path, log)
    formats.write(tmp_path / "well.png", mask[None])
    np.testing.assert_array_equal(read_probs(tmp_path, log)[1], mask == 2)
    (tmp_path / "well.png").unlink()
    for channels, first in ((3, 1), (2, 0)):
        probs = np.random.default_rng(0).random((channels, 1, 150, 180), dtype=np.float32)
        np.save(tmp_path / "well.npy", probs)
        np.testing.assert_array_equal(read_probs(tmp_path, log), probs[first:, 0])
    np.save(tmp_path / "well.npy", np.zeros((4, 1, 150, 180), dtype=np.float32))
    with pytest.raises(InputError, match=r"must have 2 or 3 channels, found 4"):
        read_probs(tmp_path, log)
    np.save(tmp_path / "well.npy", np.zeros((1, 150, 90), dtype=np.float32))
    with pytest.raises(InputError, match=r"must have 150 x 180 pixels as the log"):
        read_probs(tmp_path, log)

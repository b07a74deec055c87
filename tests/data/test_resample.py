from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from vesuv.data.labels import IGNORE
from vesuv.data.resample import (
    resample_image,
    resample_label,
    resample_probs,
    resampled_shape,
)

ONE = (1.0, 1.0, 1.0)
RNG = np.random.default_rng(0)


def test_the_shape_covers_the_same_extent() -> None:
    assert resampled_shape((25, 256, 256), (6.5, 0.78125, 0.78125), ONE) == (162, 200, 200)
    assert resampled_shape((1, 2, 3), ONE, (9.0, 9.0, 9.0)) == (1, 1, 1)


def test_an_equal_spacing_gives_the_same_array() -> None:
    image = RNG.normal(size=(1, 3, 4, 5))
    label = np.ones((3, 4, 5), np.uint8)

    assert resample_image(image, ONE, ONE) is image
    assert resample_label(label, ONE, ONE, 2) is label


def test_cubics_keep_a_plane_exactly_away_from_the_edge() -> None:
    ramp = np.broadcast_to(np.arange(16, dtype=np.float32)[:, None, None], (16, 8, 8))[None]

    found = resample_image(ramp, ONE, (0.5, 1.0, 1.0))

    centres = (np.arange(32) + 0.5) / 2 - 0.5
    assert found.shape == (1, 32, 8, 8)
    assert np.allclose(found[0, 4:-4, 3, 3], centres[4:-4], atol=1e-4)


def test_upsampling_agrees_with_scipy_on_a_smooth_image() -> None:
    image = ndimage.gaussian_filter(RNG.normal(size=(20, 20, 20)), 2.5).astype(np.float32)
    expected = ndimage.zoom(image, 1.5, order=3, grid_mode=True, mode="nearest")

    found = resample_image(image[None], ONE, (1 / 1.5,) * 3)[0]

    inner = (slice(5, -5),) * 3
    assert np.abs(found[inner] - expected[inner]).max() < 0.02 * np.ptp(image)


def test_downsampling_averages_instead_of_skipping() -> None:
    stripes = np.zeros((1, 4, 4, 32), np.float32)
    stripes[..., ::2] = 1.0

    found = resample_image(stripes, ONE, (1.0, 1.0, 2.0))

    assert np.allclose(found[..., 3:-3], 0.5, atol=0.02)


def test_integers_are_rounded_and_stay_in_range() -> None:
    image = RNG.choice(np.array([0, 255], np.uint8), (1, 6, 6, 6))

    found = resample_image(image, ONE, (0.6, 0.6, 0.6))

    assert found.dtype == np.uint8
    assert {int(found.min()), int(found.max())} == {0, 255}


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_the_largest_integers_of_four_bytes_stay_the_largest(dtype: type[np.integer]) -> None:
    image = np.full((1, 4, 4, 4), np.iinfo(dtype).max, dtype)
    image[:, 0] = 0

    (upper,) = resample_image(image, (1.0, 1.0, 1.0), (2.0, 1.0, 1.0))[0, 1:]

    assert (upper > np.iinfo(dtype).max * 0.999999).all()  # float32 holds 7 digits


@pytest.mark.parametrize("factor", [0.4, 1.5, 2.0, 3.0, 4.2])
@pytest.mark.parametrize("place", range(9, 14))
def test_a_sheet_of_one_voxel_survives_any_factor(factor: float, place: int) -> None:
    label = np.zeros((8, 24, 8), np.uint8)
    label[:, place] = 1

    found = resample_label(label, ONE, (1.0, factor, 1.0), 2)

    assert found.any(axis=1).all()
    assert (found.sum(axis=1) <= max(3, round(2 / factor))).all()


def test_halving_the_grid_keeps_large_regions_where_they_were() -> None:
    label = np.zeros((16, 16, 16), np.uint8)
    label[4:12, 4:12, 4:12] = 2
    label[:, :, :2] = 1

    found = resample_label(label, ONE, (2.0, 2.0, 2.0), 3)

    assert (found[3:5, 3:5, 3:5] == 2).all()
    assert (found[:, :, 0] == 1).all()
    assert (found[:, :, 7] == 0).all()


def test_ignored_voxels_follow_the_nearest_voxel_and_do_not_dilute_foreground() -> None:
    label = np.zeros((8, 8, 8), np.uint8)
    label[:, :, :4] = IGNORE
    label[:, :, 4:] = 1

    found = resample_label(label, ONE, (0.5, 0.5, 0.5), 2)

    assert (found[..., :8] == IGNORE).all()
    assert (found[..., 8:] == 1).all()


def test_a_coarse_voxel_is_ignored_if_the_voxel_at_its_centre_is() -> None:
    label = np.zeros((1, 1, 9), np.uint8)
    label[..., [1, 3, 5]] = IGNORE  # at the centre of the first of three, and beside the others'

    coarse = resample_label(label, ONE, (1.0, 1.0, 3.0), 2)

    assert coarse.tolist() == [[[IGNORE, 0, 0]]]


def test_probabilities_come_back_to_their_shape_within_bounds() -> None:
    probs = torch.rand(2, 5, 6, 7)

    found = resample_probs(probs, (10, 4, 7))

    assert found.shape == (2, 10, 4, 7)
    assert 0.0 <= float(found.min()) <= float(found.max()) <= 1.0 + 1e-6
    assert torch.equal(resample_probs(probs, (5, 6, 7)), probs)

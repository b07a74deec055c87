from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.morphology import ball

from vesuv.inference.postprocess.morphology import closing, dilate, erode, opening

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, max_side=8))
RADII = st.tuples(*[st.integers(0, 3)] * 3)


def ellipsoid(radii) -> np.ndarray:
    grids = np.ogrid[tuple(slice(-r, r + 1) for r in radii)]
    return sum((g / max(r, 1)) ** 2 for g, r in zip(grids, radii, strict=True)) <= 1 + 1e-9


def test_opening_takes_spurs_and_closing_fills_gaps() -> None:
    plate = np.zeros((5, 5, 9), bool)
    plate[1:4, 1:4, 1:4] = True
    plate[2, 2, 4:7] = True  # a spur one voxel thick

    opened = opening(plate, (1, 1, 1))

    assert opened[2, 2].astype(int).tolist() == [0, 1, 1, 1, 1, 0, 0, 0, 0]  # the centre's ball
    gap = np.array([[[0, 1, 1, 0, 1, 1, 0, 0, 1]]], bool)
    assert closing(gap, (0, 0, 1)).astype(int).tolist() == [[[0, 1, 1, 1, 1, 1, 1, 1, 1]]]


def test_an_anisotropic_closing_closes_along_its_long_axes_only() -> None:
    mask = np.zeros((7, 1, 7), bool)
    mask[0, 0, 3] = mask[6, 0, 3] = mask[3, 0, 0] = mask[3, 0, 6] = True

    across = closing(mask, (0, 0, 3))[:, 0]
    along = closing(mask, (3, 0, 0))[:, 0]

    assert across.sum(axis=1).tolist() == [1, 0, 0, 7, 0, 0, 1]
    assert np.array_equal(along, across.T)


def test_a_radius_beyond_the_volume_is_harmless() -> None:
    mask = np.zeros((2, 3, 2), bool)
    mask[0, 0, 0] = True

    assert np.array_equal(closing(mask, (9, 9, 9)), mask)
    assert not opening(mask, (9, 9, 9)).any()


def test_sheets_that_leave_the_volume_are_not_worn_and_none_grows_to_the_rim() -> None:
    leaving = np.zeros((5, 6, 6), bool)
    leaving[1:4] = True
    beside = np.zeros((5, 6, 6), bool)
    beside[1] = True

    assert np.array_equal(opening(leaving, (1, 1, 1)), leaving)
    assert np.array_equal(closing(beside, (1, 1, 1)), beside)


@settings(max_examples=25)
@given(MASKS, RADII)
def test_erosion_and_dilation_agree_with_scipy(mask, radii) -> None:
    shape = ellipsoid(radii)

    assert np.array_equal(erode(mask, radii), ndimage.binary_erosion(mask, shape, border_value=1))
    assert np.array_equal(dilate(mask, radii), ndimage.binary_dilation(mask, shape))
    in_plane = ellipsoid([r if n > 1 else 0 for r, n in zip(radii, mask.shape, strict=True)])
    wide = ndimage.binary_closing(np.pad(mask, 6), in_plane)
    assert np.array_equal(closing(mask, radii), wide[6:-6, 6:-6, 6:-6])


@pytest.mark.parametrize("radius", [1, 2, 3, 5])
def test_a_single_voxel_grows_to_the_ball_of_scikit_image(radius: int) -> None:
    mask = np.zeros([2 * radius + 1] * 3, bool)
    mask[radius, radius, radius] = True

    assert np.array_equal(dilate(mask, (radius,) * 3), ball(radius).astype(bool))


@settings(max_examples=25)
@given(MASKS, RADII, st.integers(1, 2))
def test_opening_shrinks_closing_grows_and_both_are_idempotent(mask, radii, radius) -> None:
    ball_radii = (radius,) * 3
    opened, closed = opening(mask, ball_radii), closing(mask, radii)

    assert not (opened & ~mask).any()
    assert not (mask & ~closed).any()
    assert np.array_equal(opening(opened, ball_radii), opened)
    assert np.array_equal(closing(closed, radii), closed)


@settings(max_examples=20)
@given(MASKS, st.integers(0, 2**32 - 1))
def test_more_foreground_never_gives_less(mask, seed) -> None:
    more = mask | (np.random.default_rng(seed).random(mask.shape) < 0.2)

    assert not (opening(mask) & ~opening(more)).any()
    assert not (closing(mask, (1, 2, 1)) & ~closing(more, (1, 2, 1))).any()

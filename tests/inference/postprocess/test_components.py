from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.measure import label

from vesuv.inference.postprocess.components import (
    fill_cavities,
    keep_largest,
    remove_small,
)

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, max_side=7))

LINE = np.array([[[1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 1]]], bool)


def test_components_below_the_size_go() -> None:
    assert remove_small(LINE, 2).astype(int).tolist() == [[[1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1]]]
    assert remove_small(LINE, 3).astype(int).tolist() == [[[1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1]]]
    assert np.array_equal(remove_small(LINE, 1), LINE)
    assert not remove_small(LINE, 4).any()


def test_the_largest_stay_and_of_equal_ones_the_first() -> None:
    assert keep_largest(LINE, 1).astype(int).tolist() == [[[1, 1, 1] + [0] * 9]]
    assert keep_largest(LINE, 2).astype(int).tolist() == [[[1, 1, 1] + [0] * 6 + [1, 1, 1]]]
    assert np.array_equal(keep_largest(LINE, 9), LINE)


@pytest.mark.parametrize(("connectivity", "kept"), [(6, 1), (18, 2), (26, 3)])
def test_connectivity_says_what_is_one_component(connectivity: int, kept: int) -> None:
    mask = np.zeros((5, 2, 4), bool)
    mask[0, 0, 0] = mask[1, 1, 0] = True  # share an edge
    mask[3, 0, 1] = mask[4, 1, 2] = mask[3, 0, 3] = True  # share corners

    assert remove_small(mask, 2, connectivity).sum() == {6: 0, 18: 2, 26: 5}[connectivity]
    assert keep_largest(mask, 1, connectivity).sum() == kept


@given(MASKS, st.integers(1, 9), st.sampled_from([6, 18, 26]))
def test_removal_agrees_with_scikit_image_component_by_component(mask, voxels, connectivity):
    labels = label(mask, connectivity={6: 1, 18: 2, 26: 3}[connectivity])
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0

    found = remove_small(mask, voxels, connectivity)

    assert np.array_equal(found, (sizes >= voxels)[labels])
    assert np.array_equal(remove_small(found, voxels, connectivity), found)


@given(MASKS, st.integers(1, 4))
def test_keeping_the_largest_keeps_as_many_voxels_as_the_sizes_say(mask, num) -> None:
    sizes = np.sort(np.bincount(label(mask, connectivity=3).ravel())[1:])[::-1]

    found = keep_largest(mask, num)

    assert found.sum() == sizes[:num].sum()
    assert not (found & ~mask).any()
    assert np.array_equal(keep_largest(found, num), found)


def test_an_enclosed_hollow_is_filled_and_an_open_one_is_not() -> None:
    mask = np.ones((4, 4, 4), bool)
    mask[1:3, 1:3, 1:3] = False
    opened = mask.copy()
    opened[0, 1, 1] = False

    assert fill_cavities(mask).all()
    assert np.array_equal(fill_cavities(opened), opened)


def test_a_leak_over_an_edge_does_not_open_a_cavity() -> None:
    mask = np.ones((3, 4, 4), bool)
    mask[1, 1, 1] = mask[1, 2, 2] = mask[0, 3, 2] = False

    filled = fill_cavities(mask)

    assert filled[1, 1, 1]
    assert filled[1, 2, 2]
    assert not filled[0, 3, 2]


@given(MASKS, MASKS)
def test_filling_agrees_with_scipy_and_is_idempotent_and_monotone(mask, more) -> None:
    found = fill_cavities(mask)

    assert np.array_equal(found, ndimage.binary_fill_holes(mask))
    assert np.array_equal(fill_cavities(found), found)
    if more.shape == mask.shape:
        assert not (found & ~fill_cavities(mask | more)).any()


@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full_volumes_stay(value: bool) -> None:
    mask = np.full((2, 3, 4), value)

    assert np.array_equal(fill_cavities(mask), mask)
    assert np.array_equal(remove_small(mask, 24), mask)
    assert np.array_equal(keep_largest(mask, 1), mask)


def test_a_read_only_mask_is_taken_too() -> None:
    mask = LINE.copy()
    mask.flags.writeable = False

    assert remove_small(mask, 3).sum() == 6
    assert np.array_equal(fill_cavities(mask), mask)

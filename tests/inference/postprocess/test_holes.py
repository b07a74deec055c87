from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from skimage.measure import label

from vesuv.data.phantom import phantom_volume
from vesuv.evaluation.betti import betti_numbers
from vesuv.inference.postprocess.holes import plug_holes


def sheet(normal, thickness: int, edge: int = 15) -> np.ndarray:
    height = sum(n * g for n, g in zip(normal, np.ogrid[(slice(edge),) * 3], strict=True))
    middle = sum(normal) * edge // 2
    return np.broadcast_to((height >= middle) & (height < middle + thickness), (edge,) * 3).copy()


def test_a_hole_in_a_plane_is_plugged_and_a_larger_one_is_not() -> None:
    mask = np.zeros((3, 7, 9), bool)
    mask[1] = True
    mask[1, 2, 2] = False
    mask[1, 4, 5:7] = False

    filled = plug_holes(mask)

    expected = mask.copy()
    expected[1, 2, 2] = True
    assert np.array_equal(filled, expected)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("thickness", [1, 2, 5])
def test_a_bore_is_filled_along_its_length_whichever_way_it_runs(axis: int, thickness: int) -> None:
    plate = np.zeros((7, 7, 7), bool)
    plate[1 : 1 + thickness] = True
    bored = plate.copy()
    bored[:, 3, 3] = False

    filled = plug_holes(np.moveaxis(bored, 0, axis))

    assert np.array_equal(filled, np.moveaxis(plate, 0, axis))


@pytest.mark.parametrize(
    ("normal", "thickness"), [((1, 1, 0), 1), ((0, 1, -1), 2), ((1, 1, 1), 3), ((2, 1, 0), 3)]
)
def test_a_hole_in_a_slanting_sheet_is_plugged(normal, thickness: int) -> None:
    edge = 15
    if min(normal) < 0:
        whole = sheet(tuple(abs(n) for n in normal), thickness)[:, ::-1]
    else:
        whole = sheet(normal, thickness)
    axis = int(np.argmax(np.abs(normal)))
    middle = [edge // 2] * 3
    middle[axis] = slice(None)
    holed = whole.copy()
    holed[tuple(middle)] = False
    assert (holed != whole).any()

    assert np.array_equal(plug_holes(holed), whole)


def test_dents_gaps_and_slits_are_left_alone() -> None:
    dent = np.ones((4, 5, 5), bool)
    dent[0] = dent[1, 2, 2] = False
    gap = np.ones((5, 5, 5), bool)
    gap[2] = False
    slit = np.zeros((3, 5, 5), bool)
    slit[1] = True
    slit[1, 2, 1:4] = False

    for mask in (dent, gap, slit):
        assert np.array_equal(plug_holes(mask), mask)


def test_a_neck_of_a_chamber_is_not_sealed() -> None:
    mask = np.ones((7, 5, 5), bool)
    mask[2:5, 1:4, 1:4] = False  # the chamber
    mask[:2, 2, 2] = False  # its neck, one voxel wide

    filled = plug_holes(mask)

    assert not filled[1, 2, 2]
    assert np.array_equal(filled[2:], mask[2:])


def test_a_straight_blind_bore_is_filled_whole() -> None:
    mask = np.zeros((6, 5, 5), bool)
    mask[1:] = True
    mask[1:3, 2, 2] = False

    assert plug_holes(mask)[1:].all()


def test_a_notch_in_the_rim_is_no_hole() -> None:
    mask = np.zeros((3, 4, 4), bool)
    mask[1] = True
    mask[1, 0, 2] = False

    assert np.array_equal(plug_holes(mask), mask)


def test_a_cavity_is_not_parted_in_two() -> None:
    mask = np.ones((4, 5, 5), bool)
    mask[1, 2, 2] = mask[2, 2, 2] = mask[2, 2, 3] = False  # bent, shut in on all sides

    assert np.array_equal(plug_holes(mask), mask)


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)))
def test_only_voxels_are_added_none_shut_in_and_no_two_pieces_joined(mask) -> None:
    filled = plug_holes(mask)

    def pieces(foreground):
        return label(foreground, connectivity=3).max()

    def cavities(foreground):
        return label(~np.pad(foreground, 1), connectivity=1).max()

    assert not (mask & ~filled).any()
    assert pieces(filled) <= pieces(mask)
    assert cavities(filled) <= cavities(mask)
    assert len(np.unique(label(filled, connectivity=3)[mask])) == pieces(mask)


@given(hnp.arrays(np.bool_, (4, 4, 5)))
def test_the_answer_turns_with_the_volume(mask) -> None:
    for axes in itertools.permutations(range(3)):
        turned = plug_holes(np.flip(mask, 1).transpose(axes))
        assert np.array_equal(turned, np.flip(plug_holes(mask), 1).transpose(axes))


def test_most_loops_of_bored_rolled_sheets_are_closed() -> None:
    mask = phantom_volume(0, 48, 0)[1] == 1
    voxels = np.argwhere(mask)
    for z, y, x in voxels[np.random.default_rng(0).choice(len(voxels), 60, replace=False)]:
        mask[z, max(y - 2, 0) : y + 3, x] = False

    assert betti_numbers(plug_holes(mask)).loops < betti_numbers(mask).loops / 3

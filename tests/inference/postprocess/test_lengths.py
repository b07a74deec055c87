"""Sizes in the unit of the spacing: hand-computed volumes and distances of anisotropic voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesuv.config.postprocess import read_chain
from vesuv.errors import InputError
from vesuv.inference.postprocess import apply_chain
from vesuv.inference.postprocess.lengths import num_voxels
from vesuv.inference.postprocess.morphology import dilate

LINE = np.array([[[1, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1, 1]]], bool)
SINGLE = np.zeros((9, 9, 9), bool)
SINGLE[4, 4, 4] = True


def apply(mask, spacing, **step):
    return apply_chain(mask, read_chain([step], "test"), spacing)


def test_components_are_removed_by_their_volume() -> None:
    spacing = (2.0, 0.5, 0.5)  # 0.5 cubed units a voxel: components of 1.5, 0.5, 1.0 and 1.5

    def remaining(volume):
        return apply(LINE, spacing, name="remove_small", volume=volume).astype(int).tolist()[0][0]

    assert remaining(0.5) == LINE.astype(int).tolist()[0][0]
    assert remaining(1.0) == [1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1]
    assert remaining(1.01) == [1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert remaining(1.6) == [0] * 12


def test_a_number_of_voxels_does_not_depend_on_the_spacing() -> None:
    for spacing in ((1.0, 1.0, 1.0), (2.0, 0.5, 0.5)):
        assert apply(LINE, spacing, name="remove_small", voxels=2).sum() == 8
        assert apply(SINGLE, spacing, name="closing", radius=[1, 2, 2]).sum() == 1
        assert apply(SINGLE, spacing, name="opening").sum() == 0


@pytest.mark.parametrize("edge", [0.1, float(np.float32(0.1)), 0.3])
@given(voxels=st.integers(1, 400_000))
def test_a_volume_of_whole_voxels_is_that_number_of_voxels(edge: float, voxels: int) -> None:
    volume = voxels * round(edge, 3) ** 3

    assert num_voxels(volume, (edge, edge, edge)) == voxels


def test_a_volume_below_one_voxel_removes_nothing() -> None:
    assert num_voxels(0.001, (1.0, 1.0, 1.0)) == 1


def test_a_voxel_belongs_to_the_ball_when_its_centre_is_within_the_distance() -> None:
    spacing = (2.0, 1.0, 0.5)
    holed = ~SINGLE

    # Within 2: one voxel along z (2.0), two along y (2.0), four along x (4 x 0.5).
    ball = ~apply(holed, spacing, name="opening", distance=2.0)

    expected = [
        (z, y, x)
        for z in range(9)
        for y in range(9)
        for x in range(9)
        if (2.0 * (z - 4)) ** 2 + (y - 4) ** 2 + (0.5 * (x - 4)) ** 2 <= 4.0
    ]
    eroded = ~dilate(~holed, (1.0, 2.0, 4.0))
    assert (~eroded).sum() == len(expected)
    assert np.argwhere(~eroded).tolist() == [list(place) for place in expected]
    assert np.array_equal(ball, SINGLE)


@given(
    spacing=st.tuples(*[st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0])] * 3),
    distance=st.sampled_from([0.25, 0.75, 1.0, 1.25, 2.0]),
)
def test_dilation_by_half_axes_is_all_voxels_within_the_distance(spacing, distance) -> None:
    mask = np.zeros((17, 17, 17), bool)
    mask[8, 8, 8] = True
    z, y, x = (
        edge * (grid - 8) for edge, grid in zip(spacing, np.ogrid[:17, :17, :17], strict=True)
    )
    half_axes = tuple(distance / edge for edge in spacing)

    assert np.array_equal(dilate(mask, half_axes), z**2 + y**2 + x**2 <= distance**2)


def test_a_gap_is_closed_along_the_axis_on_which_the_distance_spans_a_voxel() -> None:
    gap = np.zeros((7, 7, 9), bool)
    gap[3, 3, 2] = gap[3, 3, 4] = True  # one voxel between them along x

    fine = apply(gap, (5.0, 5.0, 0.5), name="closing", distance=0.5)
    coarse = apply(gap, (5.0, 5.0, 0.6), name="closing", distance=0.5)
    across = apply(gap.transpose(2, 1, 0), (0.6, 5.0, 5.0), name="closing", distance=0.5)

    assert np.argwhere(fine & ~gap).tolist() == [[3, 3, 3]]
    assert np.array_equal(coarse, gap)
    assert np.array_equal(across, gap.transpose(2, 1, 0))


@pytest.mark.parametrize("edge", [0.1, float(np.float32(0.1))])
def test_a_distance_of_whole_voxels_reaches_them_despite_rounding(edge: float) -> None:
    plate = np.zeros((9, 9, 9), bool)
    plate[1:8, 1:8, 1:8] = True  # 0.1 * 3 is above 0.3 in floating point

    by_distance = apply(plate, (edge,) * 3, name="opening", distance=0.3)

    assert np.array_equal(by_distance, apply(plate, (edge,) * 3, name="opening", radius=3))
    assert by_distance.sum() == 123  # the ball of radius 3 in the middle


def test_a_distance_of_more_than_fifty_voxels_is_refused() -> None:
    assert not apply(SINGLE, (1.0, 1.0, 1.0), name="opening", distance=50.0).any()

    sentence = (
        r"^inference\.postprocess: opening: distance must span at most 50 voxels, found 60, which "
        r"is 120 voxels at spacing 2 x 0\.5 x 1; make it smaller$"
    )
    with pytest.raises(InputError, match=sentence):
        apply(SINGLE, (2.0, 0.5, 1.0), name="opening", distance=60.0)

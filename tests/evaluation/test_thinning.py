"""Components, loops and cavities of skeletons, counted by SciPy and scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, label
from skimage.measure import euler_number

from vesuv.evaluation.centerline import medial_surface
from vesuv.evaluation.thinning import curve_skeleton, is_simple

CUBE_26 = np.ones((3, 3, 3))
EDGE = 14


def betti(mask: np.ndarray) -> tuple[int, int, int]:
    """Components (26-connected), loops, and cavities of the 6-connected background."""
    components = label(mask, CUBE_26)[1]
    cavities = label(np.pad(~mask, 1, constant_values=True))[1] - 1
    return components, components + cavities - euler_number(mask, connectivity=3), cavities


def place(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Draw where a body lies in a volume of `EDGE`: anywhere, at a rim, in a corner."""
    starts = [
        draw(st.one_of(st.just(0), st.just(EDGE - size), st.integers(0, EDGE - size)))
        for size in shape
    ]
    return tuple(slice(start, start + size) for start, size in zip(starts, shape, strict=True))


@st.composite
def bodies(draw: st.DrawFn) -> np.ndarray:
    """A few boxes, sheets and tubes of any thickness, which may touch and be hollow or pierced."""
    mask = np.zeros((EDGE,) * 3, bool)
    for _ in range(draw(st.integers(1, 4))):
        thickness = st.integers(1, 6)
        sizes = draw(
            st.one_of(
                st.tuples(thickness, thickness, thickness),
                st.tuples(thickness, st.integers(6, EDGE), st.integers(6, EDGE)),
                st.tuples(thickness, thickness, st.integers(6, EDGE)),
            )
        )
        mask[place(draw, tuple(draw(st.permutations(sizes))))] = draw(st.integers(0, 4)) > 0
    return mask


@st.composite
def blobs(draw: st.DrawFn) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    field = gaussian_filter(rng.standard_normal((EDGE,) * 3), draw(st.floats(0.3, 2.0)))
    return field > np.quantile(field, draw(st.floats(0.2, 0.95)))


@settings(max_examples=60)
@given(st.one_of(bodies(), blobs()))
def test_a_skeleton_lies_in_its_mask_and_has_its_topology(mask: np.ndarray) -> None:
    before = mask.copy()

    skeleton = curve_skeleton(mask)

    assert not (skeleton & ~mask).any()
    assert betti(skeleton) == betti(mask)
    np.testing.assert_array_equal(mask, before)


@settings(max_examples=60)
@given(st.one_of(bodies(), blobs()))
def test_every_component_keeps_a_voxel(mask: np.ndarray) -> None:
    components, num = label(mask, CUBE_26)

    for skeleton in (curve_skeleton(mask), medial_surface(mask)):
        assert len(np.unique(components[skeleton])) == num
        assert not (skeleton & ~mask).any()


@settings(max_examples=60)
@given(st.one_of(bodies(), blobs()))
def test_a_skeleton_is_its_own_skeleton(mask: np.ndarray) -> None:
    skeleton = curve_skeleton(mask)

    np.testing.assert_array_equal(curve_skeleton(skeleton), skeleton)


@pytest.mark.parametrize("thickness", range(1, 9))
@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("edge", [20, 40])
def test_a_sheet_shrinks_to_a_few_voxels_never_to_none(
    thickness: int, axis: int, edge: int
) -> None:
    sheet = np.moveaxis(np.ones((thickness, edge, edge), bool), 0, axis)

    assert 1 <= curve_skeleton(sheet).sum() <= 4


@pytest.mark.parametrize("height", range(1, 7))
@pytest.mark.parametrize("width", range(1, 7))
@pytest.mark.parametrize("axis", range(3))
def test_a_tube_becomes_one_voxel_a_section(height: int, width: int, axis: int) -> None:
    length = 30
    tube = np.moveaxis(np.ones((length, height, width), bool), 0, axis)

    a_section = np.moveaxis(curve_skeleton(tube), axis, 0).sum(axis=(1, 2))

    assert a_section.max() == 1
    # each of the layers that are peeled off also takes a voxel or two from each end
    assert length - 2 * (max(height, width) // 2 + 1) - 1 <= a_section.sum()
    (filled,) = np.nonzero(a_section)
    assert np.all(np.diff(filled) == 1)


@pytest.mark.parametrize("width", range(1, 7))
@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("flipped", [False, True])
def test_a_branch_of_any_thickness_stays(width: int, axis: int, flipped: bool) -> None:
    volume = np.zeros((20, 30, 80), bool)
    volume[8:11, 3:27, 3:27] = True
    volume[8:11, 6:24, 6:24] = False  # a ring
    volume[8 : 8 + width, 12 : 12 + width, 27:77] = True  # and a branch of 50 voxels
    mask = np.moveaxis(volume[:, :, ::-1] if flipped else volume, 2, axis)

    skeleton = np.moveaxis(curve_skeleton(mask), axis, 2)

    branch = skeleton[:, :, ::-1][:, :, 27:] if flipped else skeleton[:, :, 27:]
    assert branch.sum() >= 50 - width


def test_the_skeleton_of_a_tube_of_odd_width_is_its_axis() -> None:
    tube = np.zeros((7, 7, 12), bool)
    tube[2:5, 2:5] = True
    axis = np.zeros_like(tube)
    axis[3, 3, 1:11] = True

    np.testing.assert_array_equal(curve_skeleton(tube), axis)


def test_curves_one_voxel_wide_stay_as_they_are() -> None:
    curve = np.zeros((6, 6, 6), bool)
    diagonal = np.arange(6)
    curve[diagonal, diagonal, diagonal] = True
    ring = np.zeros((5, 5, 5), bool)
    ring[2, 1:4, 1:4] = True
    ring[2, 2, 2] = ring[2, 1, 1] = ring[2, 1, 3] = ring[2, 3, 1] = ring[2, 3, 3] = False

    for mask in (curve, ring):
        np.testing.assert_array_equal(curve_skeleton(mask), mask)


def test_an_empty_mask_has_an_empty_skeleton() -> None:
    assert not curve_skeleton(np.zeros((3, 4, 5), bool)).any()


def test_simple_voxels_are_those_whose_deletion_changes_no_topology() -> None:
    rng = np.random.default_rng(0)
    bits = np.arange(27).reshape(3, 3, 3)
    answers = []
    for density in rng.uniform(0.05, 1.0, 600):
        around = rng.random((3, 3, 3)) < density
        around[1, 1, 1] = False
        code = np.array([int((around * (1 << bits)).sum())], np.uint32)
        full = around.copy()
        full[1, 1, 1] = True

        (simple,) = is_simple(code).tolist()

        assert simple == (betti(around) == betti(full))
        answers.append(simple)
    assert 100 < sum(answers) < 500

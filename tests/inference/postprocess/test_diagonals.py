from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from skimage.measure import label

from vesuv.evaluation.betti import betti_numbers
from vesuv.inference.postprocess.diagonals import diagonal_fill

MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6))


def test_both_voxels_beside_an_edge_are_filled() -> None:
    mask = np.array([[[0, 1, 0], [1, 0, 0], [0, 0, 0]]], bool)

    assert diagonal_fill(mask).astype(int).tolist() == [[[1, 1, 0], [1, 1, 0], [0, 0, 0]]]


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_edges_across_every_axis_are_seen(axes: tuple[int, ...]) -> None:
    mask = np.zeros((1, 2, 2), bool)
    mask[0, 0, 0] = mask[0, 1, 1] = True

    assert diagonal_fill(mask.transpose(axes)).all()
    assert diagonal_fill(mask[:, ::-1].transpose(axes)).all()


@pytest.mark.parametrize("corner", list(itertools.product((0, 1), repeat=3)))
def test_all_voxels_around_a_corner_are_filled(corner: tuple[int, ...]) -> None:
    mask = np.zeros((2, 2, 2), bool)
    mask[corner] = mask[tuple(1 - i for i in corner)] = True

    assert diagonal_fill(mask).all()


def test_what_faces_join_already_stays() -> None:
    mask = np.array([[[0, 1], [1, 1]]], bool)

    assert np.array_equal(diagonal_fill(mask), mask)


@pytest.mark.parametrize("normal", [(1, 1, 0), (1, 1, 1), (3, 5, 7)])
def test_the_thinnest_slanting_plane_becomes_one_piece_without_loops(normal) -> None:
    height = sum(n * g for n, g in zip(normal, np.ogrid[:16, :16, :16], strict=True))
    plane = np.broadcast_to(np.abs(height - 8 * sum(normal)) * 2 < max(normal), (16,) * 3).copy()

    assert betti_numbers(plane).components > 1
    assert betti_numbers(diagonal_fill(plane)) == (1, 0, 0)


@given(MASKS)
def test_what_was_26_connected_is_6_connected(mask) -> None:
    filled = diagonal_fill(mask)

    by_corners, by_faces = label(mask, connectivity=3), label(filled, connectivity=1)
    assert not (mask & ~filled).any()
    for piece in range(1, by_corners.max() + 1):
        assert len(np.unique(by_faces[by_corners == piece])) == 1


@given(MASKS)
def test_nothing_is_filled_away_from_the_mask(mask) -> None:
    filled = diagonal_fill(mask)

    padded = np.pad(mask, 1)
    faces = np.zeros_like(mask)
    for axis in range(3):
        for step in (-1, 1):
            faces |= np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1]
    near = faces.copy()  # around a corner all six have a face against one of the two
    assert not (filled & ~mask & ~near).any()

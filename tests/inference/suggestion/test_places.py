"""Choice of boxes on small grids, against means and distances by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vesuv.errors import InputError
from vesuv.inference.suggestion.places import PlaceGrid, choose_places, num_tiles


def test_places_lie_at_fourths_of_an_edge_at_whole_edges_and_at_the_end() -> None:
    grid = PlaceGrid.over((21, 10, 8), (10, 10, 5))

    assert grid.starts[0].tolist() == [0, 2, 4, 6, 8, 10, 11]
    assert grid.starts[1].tolist() == [0]
    assert grid.starts[2].tolist() == [0, 1, 2, 3]


def test_means_are_those_of_the_voxels_of_each_box() -> None:
    values = np.random.default_rng(0).random((9, 8, 7)).astype(np.float32)
    size = (4, 3, 7)
    grid = PlaceGrid.over((9, 8, 7), size)

    means = grid.means(values)

    for index in np.ndindex(means.shape):
        z, y, x = grid.start(index)
        assert means[index] == pytest.approx(values[z : z + 4, y : y + 3, x : x + 7].mean())
        assert grid.index((z, y, x)) == index


def test_the_best_places_are_chosen_with_a_box_between_them() -> None:
    grid = PlaceGrid.over((4, 4, 32), (4, 4, 4))
    scores = np.zeros((1, 1, 29))
    scores[0, 0, [0, 1, 7, 8, 20]] = [9.0, 8.0, 7.0, 6.0, 5.0]

    places = choose_places([grid], [scores], 3)

    assert [(one.start[2], one.score) for one in places] == [(0, 9.0), (8, 6.0), (20, 5.0)]


def test_boxes_move_together_where_room_is_short() -> None:
    grid = PlaceGrid.over((4, 4, 16), (4, 4, 4))
    scores = np.random.default_rng(0).random((1, 1, 13))

    for number in (2, 3, 4):
        starts = sorted(one.start[2] for one in choose_places([grid], [scores], number))
        assert all(b - a >= 4 for a, b in pairwise(starts))
        assert len(starts) == number
    assert starts == [0, 4, 8, 12]


@pytest.mark.parametrize("seed", range(8))
def test_all_that_tiles_hold_can_be_chosen_and_no_more(seed: int) -> None:
    shape, size = (11, 9, 14), (5, 4, 4)
    grid = PlaceGrid.over(shape, size)
    scores = np.random.default_rng(seed).random([len(starts) for starts in grid.starts])
    most = num_tiles(shape, size)
    assert most == 2 * 2 * 3

    places = choose_places([grid], [scores], most)

    filled = np.zeros(shape, int)
    for one in places:
        z, y, x = one.start
        filled[z : z + 5, y : y + 4, x : x + 4] += 1
    assert filled.max() == 1 and filled.sum() == most * 5 * 4 * 4


def test_places_that_are_closed_are_not_chosen() -> None:
    grid = PlaceGrid.over((4, 4, 12), (4, 4, 4))
    region = (slice(0, 4), slice(0, 4), slice(3, 5))
    assert np.flatnonzero(~grid.overlapping(region)[0, 0]).tolist() == [5, 6, 7, 8]
    scores = np.where(grid.overlapping(region), -np.inf, 1.0)

    assert [one.start for one in choose_places([grid], [scores], 1)] == [(0, 0, 5)]
    with pytest.raises(InputError, match="there is room for 1 cube of 4x4x4 voxels, found 2"):
        choose_places([grid], [scores], 2)


def test_places_of_several_volumes_compete() -> None:
    grids = [PlaceGrid.over((4, 4, 4), (4, 4, 4)), PlaceGrid.over((4, 4, 8), (4, 4, 4))]
    scores = [np.full((1, 1, 1), 0.5), np.array([[[0.4, 0.6, 0.1, 0.1, 0.3]]])]

    places = choose_places(grids, scores, 2)

    assert [(one.volume, one.start) for one in places] == [(1, (0, 0, 1)), (0, (0, 0, 0))]

"""Choice of boxes on small grids, against means and distances by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vesuv.errors import InputError
from vesuv.inference.suggestion.places import (
    Place,
    PlaceGrid,
    RankedPlaces,
    choose_places,
    num_tiles,
)
from vesuv.inference.suggestion.ranking import PlaceRanking
from vesuv.types import Array


def ranked(grid: PlaceGrid, scores: Array, number: int) -> RankedPlaces:
    """Return the best places of a grid of scores."""
    ranking = PlaceRanking(grid, number)
    for position, plane in enumerate(np.asarray(scores, float)):
        ranking.add_plane(position, plane, 10 * plane)
    return ranking.result()


def chosen(grid: PlaceGrid, scores: Array, number: int) -> list[tuple[list[int], float]]:
    """Return first voxels and scores of the boxes that are chosen in one volume."""
    places = ranked(grid, scores, number)
    return [
        (places.starts[one.rank].tolist(), float(places.scores[one.rank]))
        for one in choose_places([places], number)
    ]


def test_places_lie_at_fourths_of_an_edge_at_whole_edges_and_at_the_end() -> None:
    grid = PlaceGrid.over((21, 10, 8), (10, 10, 5))

    assert grid.starts[0].tolist() == [0, 2, 4, 6, 8, 10, 11]
    assert grid.starts[1].tolist() == [0]
    assert grid.starts[2].tolist() == [0, 1, 2, 3]
    assert (grid.shape, grid.num_voxels) == ((7, 1, 4), 21 * 10 * 8)


def test_the_best_places_are_chosen_with_a_box_between_them() -> None:
    grid = PlaceGrid.over((4, 4, 32), (4, 4, 4))
    scores = np.zeros((1, 1, 29))
    scores[0, 0, [0, 1, 7, 8, 20]] = [9.0, 8.0, 7.0, 6.0, 5.0]

    places = chosen(grid, scores, 3)

    assert places == [([0, 0, 0], 9.0), ([0, 0, 8], 6.0), ([0, 0, 20], 5.0)]


def test_boxes_move_together_where_room_is_short() -> None:
    grid = PlaceGrid.over((4, 4, 16), (4, 4, 4))
    scores = np.random.default_rng(0).random((1, 1, 13))

    for number in (2, 3, 4):
        starts = sorted(start[2] for start, _ in chosen(grid, scores, number))
        assert all(b - a >= 4 for a, b in pairwise(starts))
        assert len(starts) == number
    assert starts == [0, 4, 8, 12]


@pytest.mark.parametrize("seed", range(8))
def test_all_that_tiles_hold_can_be_chosen_and_no_more(seed: int) -> None:
    shape, size = (11, 9, 14), (5, 4, 4)
    grid = PlaceGrid.over(shape, size)
    scores = np.random.default_rng(seed).random(grid.shape)
    most = num_tiles(shape, size)
    assert most == 2 * 2 * 3

    places = chosen(grid, scores, most)

    filled = np.zeros(shape, int)
    for (z, y, x), _ in places:
        filled[z : z + 5, y : y + 4, x : x + 4] += 1
    assert filled.max() == 1 and filled.sum() == most * 5 * 4 * 4


def test_places_that_touch_a_region_are_known_and_none_is_chosen_where_all_are_closed() -> None:
    grid = PlaceGrid.over((4, 4, 12), (4, 4, 4))
    region = (slice(0, 4), slice(0, 4), slice(3, 5))
    assert grid.touching(region) == (slice(0, 1), slice(0, 1), slice(0, 5))
    scores = np.ones((1, 1, 9))
    scores[grid.touching(region)] = -np.inf

    assert chosen(grid, scores, 1) == [([0, 0, 5], 1.0)]
    with pytest.raises(InputError, match="there is room for 1 cube of 4x4x4 voxels, found 2"):
        chosen(grid, scores, 2)


def test_places_of_several_volumes_compete() -> None:
    grids = [PlaceGrid.over((4, 4, 4), (4, 4, 4)), PlaceGrid.over((4, 4, 8), (4, 4, 4))]
    scores = [np.full((1, 1, 1), 0.5), np.array([[[0.4, 0.6, 0.1, 0.1, 0.3]]])]
    volumes = [ranked(grid, one, 2) for grid, one in zip(grids, scores, strict=True)]

    places = choose_places(volumes, 2)

    assert places == [Place(1, 0), Place(0, 0)]
    assert volumes[1].starts[0].tolist() == [0, 0, 1]


def every_place(grid: PlaceGrid, scores: Array, number: int) -> list[list[int]]:
    """Choose as `choose_places` says, over all places of a grid at the distance of two edges."""
    remaining, starts = scores.copy(), []
    while len(starts) < number and remaining.max() > -np.inf:
        best = np.unravel_index(remaining.argmax(), scores.shape)
        start = [int(axis[place]) for axis, place in zip(grid.starts, best, strict=True)]
        starts.append(start)
        for index in np.ndindex(*scores.shape):
            other = [axis[place] for axis, place in zip(grid.starts, index, strict=True)]
            if all(abs(a - b) < 2 * e for a, b, e in zip(start, other, grid.size, strict=True)):
                remaining[index] = -np.inf
    return starts


@pytest.mark.parametrize("seed", range(3))
def test_the_best_places_alone_lead_to_the_choice_among_all(seed: int) -> None:
    grid = PlaceGrid.over((5, 4, 200), (4, 4, 4))
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 40, grid.shape).astype(float)  # many are equal
    scores += 100 * (np.arange(grid.shape[2]) < 20)  # and the best are near each other

    places = ranked(grid, scores, 3)

    assert len(places.scores) == PlaceRanking(grid, 3).capacity < scores.size / 5
    assert (np.diff(places.scores) <= 0).all()
    assert np.array_equal(places.foreground, 10 * places.scores)
    assert [start for start, _ in chosen(grid, scores, 3)] == every_place(grid, scores, 3)


def test_at_most_so_many_places_are_near_one() -> None:
    grid = PlaceGrid.over((30, 11, 4), (4, 5, 4))
    starts = np.stack(np.meshgrid(*grid.starts, indexing="ij"), -1).reshape(-1, 3)

    near = (np.abs(starts[:, None] - starts) < 2 * np.array(grid.size)).all(-1).sum(0)

    assert grid.most_near(2.0) == near.max() == 15 * 7

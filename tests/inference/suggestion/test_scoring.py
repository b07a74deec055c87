"""Scores of places that are summed block by block, against means of boxes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vesuv.inference.suggestion.places import PlaceGrid
from vesuv.inference.suggestion.scoring import PlaceScorer, ScoredPlaces
from vesuv.types import Array, Mask, Region, Shape

SHAPE, SIZE = (19, 11, 14), (4, 3, 5)


def scored(
    block: Shape,
    bits: Array,
    foreground: Array,
    labelled: Mask | None = None,
    closed: tuple[Region, ...] = (),
) -> ScoredPlaces:
    """Return the scores of all places of a volume that is added in blocks."""
    scorer = PlaceScorer(PlaceGrid.over(SHAPE, SIZE), 100, closed)
    corners = [range(0, length, edge) for length, edge in zip(SHAPE, block, strict=True)]
    for corner in itertools.product(*corners):
        z, y, x = (
            slice(start, min(start + edge, length))
            for start, edge, length in zip(corner, block, SHAPE, strict=True)
        )
        mask = None if labelled is None else labelled[z, y, x]
        scorer.add((z, y, x), bits[z, y, x], foreground[z, y, x], mask)
    return scorer.result()


def volumes() -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return tuple(rng.random(SHAPE, np.float32) for _ in range(2))  # type: ignore[return-value]


def test_scores_are_the_means_of_the_voxels_of_each_box() -> None:
    bits, foreground = volumes()
    labelled = np.zeros(SHAPE, bool)
    labelled[3:14, :7] = True

    result = scored((20, 20, 20), bits, foreground, labelled)

    counted = np.where(labelled, 0, bits)
    assert result.mean == pytest.approx(counted.mean())
    places = result.places
    boxes = [
        (slice(z, z + 4), slice(y, y + 3), slice(x, x + 5)) for z, y, x in places.starts.tolist()
    ]
    assert [counted[box].mean() for box in boxes] == pytest.approx(places.scores.tolist())
    assert [foreground[box].mean() for box in boxes] == pytest.approx(places.foreground.tolist())
    grid = PlaceGrid.over(SHAPE, SIZE)
    all_starts = itertools.product(*(starts.tolist() for starts in grid.starts))
    expected = {
        (z, y, x) for z, y, x in all_starts if not labelled[z : z + 4, y : y + 3, x : x + 5].all()
    }
    assert {tuple(start) for start in places.starts.tolist()} == expected
    assert len(expected) < np.prod(grid.shape)


@pytest.mark.parametrize("block", [(4, 5, 6), (3, 11, 1), (16, 2, 14)])
def test_blocks_give_the_bits_of_the_whole_volume(block: Shape) -> None:
    bits, foreground = volumes()
    labelled = np.random.default_rng(1).random(SHAPE) < 0.5
    closed = ((slice(2, 5), slice(0, 3), slice(7, 9)),)

    whole = scored(SHAPE, bits, foreground, labelled, closed)
    parts = scored(block, bits, foreground, labelled, closed)

    assert parts.mean == whole.mean
    for name in ("starts", "scores", "foreground"):
        assert np.array_equal(getattr(parts.places, name), getattr(whole.places, name))


def test_boxes_that_touch_a_closed_region_are_left_out() -> None:
    bits, foreground = volumes()
    region = (slice(2, 5), slice(0, 3), slice(7, 9))
    taken = np.zeros(SHAPE, bool)
    taken[region] = True

    def touches(start: list[int]) -> bool:
        return bool(taken[tuple(slice(a, a + e) for a, e in zip(start, SIZE, strict=True))].any())

    everywhere = scored(SHAPE, bits, foreground).places.starts.tolist()
    places = scored(SHAPE, bits, foreground, closed=(region,)).places.starts.tolist()

    assert places == [start for start in everywhere if not touches(start)] != everywhere

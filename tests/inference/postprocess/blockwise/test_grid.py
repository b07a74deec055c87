from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from tests.inference.postprocess.blockwise.volumes import grids
from vesuv.errors import InputError
from vesuv.inference.postprocess.blockwise.grid import BlockGrid, within


@given(grids())
def test_every_voxel_is_in_one_block(grid: BlockGrid) -> None:
    counts = np.zeros(grid.shape, int)
    for number, block in enumerate(grid.blocks()):
        counts[block.region] += 1
        assert grid.index(block.position) == number
        assert counts[block.region].shape == block.shape

    assert (counts == 1).all()


def test_a_volume_that_the_block_does_not_divide_ends_with_a_smaller_one() -> None:
    blocks = BlockGrid((5, 2, 3), (2, 4, 3)).blocks()

    assert [(block.start, block.stop) for block in blocks] == [
        ((0, 0, 0), (2, 2, 3)),
        ((2, 0, 0), (4, 2, 3)),
        ((4, 0, 0), (5, 2, 3)),
    ]
    assert str(blocks[2]) == "block [4, 0, 0] to [5, 2, 3]"


def test_a_grown_block_ends_at_the_border_of_the_volume() -> None:
    grid = BlockGrid((9, 9, 9), (3, 3, 3))
    block = next(b for b in grid.blocks() if b.position == (1, 0, 2))

    box = grid.grown(block, (1, 1, 1), (2, 2, 2))

    assert box == (slice(2, 8), slice(0, 5), slice(5, 9))
    assert within(block.region, box) == (slice(1, 4), slice(0, 3), slice(1, 4))


def test_the_lower_neighbours_are_at_distance_0_or_1_along_each_axis() -> None:
    grid = BlockGrid((4, 4, 4), (2, 2, 2))
    first, last = grid.blocks()[0], grid.blocks()[-1]

    assert list(grid.lower_neighbours(first)) == []
    assert {distance: block.position for distance, block in grid.lower_neighbours(last)} == {
        (0, 0, 1): (1, 1, 0),
        (0, 1, 0): (1, 0, 1),
        (0, 1, 1): (1, 0, 0),
        (1, 0, 0): (0, 1, 1),
        (1, 0, 1): (0, 1, 0),
        (1, 1, 0): (0, 0, 1),
        (1, 1, 1): (0, 0, 0),
    }


def test_the_blocks_of_a_box_are_those_that_hold_its_voxels() -> None:
    grid = BlockGrid((9, 9, 9), (3, 3, 3))

    blocks = grid.overlapping((slice(2, 4), slice(3, 6), slice(8, 9)))

    assert [block.position for block in blocks] == [(0, 1, 2), (1, 1, 2)]


def test_a_block_without_voxels_is_refused() -> None:
    with pytest.raises(InputError, match=r"at least one voxel along each axis, found \[4, 0, 4\]"):
        BlockGrid((9, 9, 9), (4, 0, 4))

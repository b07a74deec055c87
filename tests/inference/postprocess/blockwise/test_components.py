from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.inference.postprocess.blockwise.volumes import MemoryVolume, run_in, snake, whole
from vesuv.inference.postprocess.blockwise import BlockGrid
from vesuv.inference.postprocess.blockwise.components import select_components
from vesuv.inference.postprocess.blockwise.rules import (
    HighRule,
    LargestRule,
    OutsideRule,
    SizeRule,
)


def select(volume: np.ndarray, rule, folder: Path, block=(2, 2, 2)) -> np.ndarray:
    grid = BlockGrid(volume.shape, block)
    return select_components(MemoryVolume(volume), rule, "test", run_in(folder, grid)).read(
        whole(grid)
    )


@pytest.mark.parametrize(
    ("voxels", "connectivity"),
    [
        ([(1, 0, 0), (2, 0, 0)], 6),  # across a face of blocks
        ([(1, 1, 0), (2, 2, 0)], 18),  # across an edge
        ([(1, 2, 0), (2, 1, 0)], 18),  # across the other diagonal of that edge
        ([(1, 1, 1), (2, 2, 2)], 26),  # across a corner, by each of its diagonals
        ([(2, 1, 1), (1, 2, 2)], 26),
        ([(1, 2, 1), (2, 1, 2)], 26),
        ([(1, 1, 2), (2, 2, 1)], 26),
    ],
)
def test_voxels_that_touch_across_blocks_are_one_component(voxels, connectivity, tmp_path) -> None:
    mask = np.zeros((4, 4, 4), bool)
    for voxel in voxels:
        mask[voxel] = True

    assert select(mask, SizeRule(2, connectivity), tmp_path).sum() == 2
    if connectivity > 6:
        smaller = {18: 6, 26: 18}[connectivity]
        assert not select(mask, SizeRule(2, smaller), tmp_path).any()


def test_a_path_through_all_blocks_counts_as_a_whole(tmp_path: Path) -> None:
    mask = snake((9, 9, 9), np.random.default_rng(0))
    size = int(mask.sum())

    assert np.array_equal(select(mask, SizeRule(size, 6), tmp_path), mask)
    assert not select(mask, SizeRule(size + 1, 6), tmp_path).any()


def test_of_equal_sizes_the_component_with_the_first_voxel_is_kept(tmp_path: Path) -> None:
    mask = np.zeros((4, 4, 4), bool)
    mask[1, 0, 0:2] = True  # in the first block, but its first voxel is the later one
    mask[0, 3, 2:4] = True

    kept = select(mask, LargestRule(1, 26), tmp_path)

    assert np.argwhere(kept).tolist() == [[0, 3, 2], [0, 3, 3]]


def test_a_high_voxel_keeps_its_component_in_other_blocks(tmp_path: Path) -> None:
    probs = np.array([[[0.4, 0.4, 0.4, 0.4, 0.9, 0.1, 0.4, 0.4]]], np.float32)

    mask = select(probs, HighRule(0.3, 0.8), tmp_path, block=(1, 1, 2))

    assert mask.astype(int).tolist() == [[[1, 1, 1, 1, 1, 0, 0, 0]]]


def test_a_cavity_across_blocks_is_filled_until_it_is_open_at_any_end(tmp_path: Path) -> None:
    closed = np.ones((5, 5, 9), bool)
    closed[2, 2, 1:8] = False
    opened = closed.copy()
    opened[2, 2, 8] = False

    assert select(closed, OutsideRule(), tmp_path).all()
    assert np.array_equal(select(opened, OutsideRule(), tmp_path), opened)


@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full_volumes_have_no_or_one_component(value: bool, tmp_path: Path) -> None:
    mask = np.full((3, 4, 5), value)

    assert select(mask, SizeRule(60, 6), tmp_path).all() == value
    assert not select(mask, SizeRule(61, 6), tmp_path).any()


def test_only_the_mask_stays_in_the_scratch_folder(tmp_path: Path) -> None:
    select(np.ones((3, 4, 5), bool), SizeRule(1, 6), tmp_path)

    assert [len(list(folder.iterdir())) for folder in tmp_path.iterdir()] == [12]

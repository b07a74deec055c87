from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.inference.postprocess.blockwise.volumes import grids, whole
from vesuv.inference.postprocess.blockwise.grid import BlockGrid
from vesuv.inference.postprocess.blockwise.stored_mask import StoredMask


def stored(mask: np.ndarray, folder: Path, grid: BlockGrid) -> StoredMask:
    stored_mask = StoredMask(folder, grid)
    for block in grid.blocks():
        stored_mask.write(block, mask[block.region])
    return stored_mask


@given(st.data())
def test_any_box_is_read_as_it_was_written(data) -> None:
    grid = data.draw(grids())
    mask = np.random.default_rng(data.draw(st.integers(0, 99))).random(grid.shape) < 0.5
    box = []
    for length in grid.shape:
        start = data.draw(st.integers(0, length - 1))
        box.append(slice(start, data.draw(st.integers(start + 1, length))))

    with tempfile.TemporaryDirectory() as folder:
        part = stored(mask, Path(folder), grid).read(tuple(box))

    assert part.dtype == np.bool_
    assert np.array_equal(part, mask[tuple(box)])


def test_a_voxel_takes_a_bit_and_a_block_of_one_value_nothing(tmp_path: Path) -> None:
    grid = BlockGrid((8, 32, 96), (8, 32, 32))
    mask = np.zeros(grid.shape, bool)
    mask[:, :, 32:64] = np.random.default_rng(0).random((8, 32, 32)) < 0.5
    mask[:, :, 64:] = True

    stored_mask = stored(mask, tmp_path, grid)

    header = 128
    sizes = [(tmp_path / f"{index}.npy").stat().st_size - header for index in range(3)]
    assert sizes == [1, 8 * 32 * 4, 1]
    assert np.array_equal(stored_mask.read(whole(grid)), mask)
    stored_mask.remove()
    assert not tmp_path.exists()

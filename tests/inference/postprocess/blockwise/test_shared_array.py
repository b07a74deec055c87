from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import zarr

from vesuv.inference.postprocess.blockwise.shared_array import shareable


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_memory_map_is_opened_again_by_another_process(tmp_path: Path, order: str) -> None:
    file = np.lib.format.open_memmap(
        tmp_path / "a.npy", "w+", np.uint8, (2, 3, 4), fortran_order=order == "F"
    )
    file[:] = np.arange(24).reshape(2, 3, 4)

    copy = pickle.loads(pickle.dumps(shareable(file)))
    copy[1, 2, 3] = 99

    assert copy.shape == (2, 3, 4)
    assert copy[0, 1].tolist() == [4, 5, 6, 7]
    assert file[1, 2, 3] == 99


@pytest.mark.parametrize("is_map", [False, True])
def test_an_array_in_memory_or_part_of_a_map_is_not_copied_silently(tmp_path, is_map) -> None:
    array = np.zeros((2, 3, 4), np.uint8)
    if is_map:
        array = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint8, (3, 3, 4))[1:]

    with pytest.raises(TypeError, match="cannot be shared with other processes; give a zarr"):
        pickle.dumps(shareable(array))


def test_a_zarr_array_is_shared_as_it_is(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", shape=(2, 3, 4), dtype=np.uint8)

    assert shareable(array) is array

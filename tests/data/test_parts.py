from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import tiny_tree
from vesuv.config import check
from vesuv.data.builder import open_matching_store, prepare
from vesuv.data.case import Case
from vesuv.data.case_paths import CasePaths
from vesuv.data.parts import cut_part, split_cases
from vesuv.errors import InputError, InputErrors


def case(shape: tuple[int, int, int]) -> Case:
    image = np.arange(np.prod(shape)).reshape(shape)
    return Case("a", np.stack([image, -image]), image % 2, (3.0, 1.0, 1.0), "g")


def test_the_parts_of_a_case_hold_each_voxel_once() -> None:
    whole = case((2, 7, 3))

    parts = [cut_part(whole, index, 3) for index in range(3)]

    assert [part.label.shape for part in parts] == [(2, 2, 3), (2, 2, 3), (2, 3, 3)]
    assert np.array_equal(np.concatenate([part.image for part in parts], axis=2), whole.image)
    assert np.array_equal(np.concatenate([part.label for part in parts], axis=1), whole.label)
    assert {part.spacing for part in parts} == {(3.0, 1.0, 1.0)}


def test_more_parts_than_voxels_are_refused() -> None:
    with pytest.raises(InputError, match=r"data\.parts: case a has 2 voxels .* found 3 parts"):
        cut_part(case((2, 1, 1)), 0, 3)


def test_parts_are_cases_of_their_own() -> None:
    files = [CasePaths("a", (Path("i"),), Path("l"), "g")]

    assert split_cases(files, 1) == files
    assert [(one.id, one.part) for one in split_cases(files, 2)] == [
        ("a_part1", (0, 2)),
        ("a_part2", (1, 2)),
    ]


def test_a_store_of_parts_serves_no_other_number_of_them(tiny_data: Path, tmp_path: Path) -> None:
    tree = tiny_tree(tiny_data, tmp_path / "store")
    store = prepare(check({**tree, "data": {**tree["data"], "parts": 2}}, "tiny"))

    assert [(name, one.shape) for name, one in store.cases.items()][:2] == [
        ("c0_part1", (16, 32, 32)),
        ("c0_part2", (16, 32, 32)),
    ]
    with pytest.raises(InputErrors, match=r"prepared with data\.parts 2, the configuration says 1"):
        open_matching_store(check(tree, "tiny"))

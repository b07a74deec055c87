"""The worst place of each kind of wrong voxels, and the pictures' files."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script's module; scripts import their neighbours by plain names."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("error_pictures")


def _case(pictures: ModuleType, name: str, kinds: np.ndarray) -> object:
    image = np.zeros(kinds.shape, np.uint8)
    right = np.ones(kinds.shape, bool)
    return pictures.Case(name, image, image, ~right, right, kinds, [], 0.5)


def test_the_worst_place_holds_most_voxels_of_the_kind(pictures: ModuleType) -> None:
    few, many = np.zeros((5, 100, 90), np.uint8), np.zeros((5, 100, 90), np.uint8)
    few[1, 40:44, 40:44] = 2
    many[3, 90:100, 80:90] = 2  # 100 voxels in the last corner
    many[2, 0, 0] = many[2, 99, 89] = 2
    many[0, :50] = 1

    place = pictures.worst_place([_case(pictures, "a", few), _case(pictures, "b", many)], 2)

    assert (place.case.id, place.z, place.num_wrong) == ("b", 3, 100)
    assert (place.rows, place.columns) == (slice(36, 100), slice(26, 90))


@pytest.mark.parametrize("corner", [(0, 0), (0, 89), (99, 0), (99, 89)])
def test_a_voxel_at_any_corner_lies_in_its_worst_place(
    pictures: ModuleType, corner: tuple[int, int]
) -> None:
    kinds = np.zeros((3, 100, 90), np.uint8)
    kinds[1][corner] = 4

    assert pictures.worst_place([_case(pictures, "a", kinds)], 4).num_wrong == 1


def test_a_small_cube_is_its_own_worst_place(pictures: ModuleType) -> None:
    kinds = np.zeros((4, 20, 30), np.uint8)
    kinds[2, 19, 29] = 3

    place = pictures.worst_place([_case(pictures, "a", kinds)], 3)

    assert (place.rows, place.columns, place.num_wrong) == (slice(0, 20), slice(0, 30), 1)


def test_kinds_without_a_voxel_have_no_row(pictures: ModuleType, tmp_path: Path) -> None:
    kinds = np.zeros((8, 80, 80), np.uint8)
    kinds[3, 5, 5] = 1
    one, two = tmp_path / "one.png", tmp_path / "two.png"

    pictures.write_worst_places([_case(pictures, "a", kinds)], one)
    kinds[4, 6, 6] = 5
    pictures.write_worst_places([_case(pictures, "a", kinds)], two)
    pictures.write_slices(_case(pictures, "a", kinds), tmp_path / "a.png")

    sizes = {}
    for name in ("one", "two", "a"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            sizes[name] = picture.size
    assert sizes["two"][1] == pytest.approx(2 * sizes["one"][1], abs=2)
    assert sizes["a"][0] == sizes["one"][0]

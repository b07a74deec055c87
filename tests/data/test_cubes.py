"""Cubes of data.cubes beside a data set: which folds they train, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.conftest import tiny_tree
from vesuv.config import Config, check, load_config
from vesuv.config.text import dump_yaml
from vesuv.data.builder import prepare
from vesuv.data.cubes import places_by_volume
from vesuv.data.folds import load_folds
from vesuv.data.store import Store
from vesuv.errors import InputError
from vesuv.training.fold_data import TrainingData, fold_data, with_channels


def write_cube(folder: Path, name: str, *, value: int = 1, edge: int = 8) -> None:
    """Write a cube whose intensities are 0 to 2, with a label of one value."""
    image = np.arange(edge**3, dtype=np.uint8).reshape(edge, edge, edge) % 3
    for part, array in (("images", image), ("labels", np.full_like(image, value))):
        (folder / part).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / part / f"{name}.tif", array)


def write_record(
    folder: Path, cubes: dict[str, Any], volumes: dict[str, Any], version: int = 1
) -> None:
    content = {"version": version, "cubes": cubes, "volumes": volumes}
    (folder / "suggestions.json").write_text(json.dumps(content))


def place(volume: str, start: tuple[int, int, int]) -> dict[str, Any]:
    return {"volume": volume, "start": start, "stop": [edge + 8 for edge in start]}


def volume(shape: tuple[int, int, int], mean: float = 100.0) -> dict[str, Any]:
    numbers = {"mean": [mean], "std": [20.0], "min": [0.0], "max": [255.0]}
    return {"shape": shape, "statistics": numbers | {"low": [1.0], "high": [250.0]}}


@pytest.fixture
def tree(tiny_data: Path, tmp_path: Path) -> dict[str, Any]:
    tree = tiny_tree(tiny_data, tmp_path / "store")
    tree["data"]["cubes"] = [str(tmp_path / "cubes")]
    return tree


@pytest.fixture
def config(tree: dict[str, Any]) -> Config:
    return check(tree, "test")


def training_of(store: Store, config: Config) -> list[list[str]]:
    folds = load_folds(store, config.data.folds)
    return [folds.split(fold)[0] for fold in range(2)]


def test_cubes_train_every_fold_and_leave_the_folds_as_they_are(
    config: Config, tree: dict[str, Any], tmp_path: Path
) -> None:
    tree["data"] |= {"cubes": [], "store": str(tmp_path / "without")}
    without = check(tree, "test")
    plain = load_folds(prepare(without), without.data.folds)
    write_cube(tmp_path / "cubes", "x")

    store = prepare(config)

    folds = load_folds(store, config.data.folds)
    assert folds.validation == plain.validation and folds.ids == plain.ids
    for fold in (0, 1):
        train, validation = folds.split(fold)
        assert train == [*plain.split(fold)[0], "x"] and "x" not in validation
    assert folds.split("all")[0] == [*plain.ids, "x"]


def test_a_cube_of_a_case_does_not_train_the_fold_that_the_case_validates(
    config: Config, tmp_path: Path
) -> None:
    write_cube(tmp_path / "cubes", "x")
    write_record(tmp_path / "cubes", {"x": place("c1", (0, 0, 0))}, {"c1": volume((32, 32, 32))})

    store = prepare(config)

    folds = load_folds(store, config.data.folds)
    for fold in (0, 1):
        train, validation = folds.split(fold)
        assert ("x" in train) == ("c1" not in validation)
    assert places_by_volume(config.data) == {"c1": [(slice(0, 8), slice(0, 8), slice(0, 8))]}


def test_a_cube_of_a_part_counts_for_the_parts_that_hold_it(
    tree: dict[str, Any], tmp_path: Path
) -> None:
    """Along z, the longest axis of 32, the first part ends at 16."""
    tree["data"]["parts"] = 2
    config = check(tree, "test")
    places = {"low": (0, 0, 0), "high": (16, 0, 0), "both": (10, 0, 0)}
    for name in places:
        write_cube(tmp_path / "cubes", name)
    cubes = {name: place("c1", start) for name, start in places.items()}
    write_record(tmp_path / "cubes", cubes, {"c1": volume((32, 32, 32))})

    store = prepare(config)

    cut_from = {name: store.cases[name].attributes.cut_from for name in places}
    assert cut_from == {
        "low": ("c1_part1",),
        "high": ("c1_part2",),
        "both": ("c1_part1", "c1_part2"),
    }


def test_a_cube_has_the_intensities_of_its_volume(config: Config, tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_cube(tmp_path / "cubes", name)
    write_record(tmp_path / "cubes", {"x": place("v", (0, 0, 0))}, {"v": volume((64, 64, 64))})

    store = prepare(config)

    x, y = store.cases["x"].statistics, store.cases["y"].statistics
    assert (x.mean, x.std, x.high) == ((100.0,), (20.0,), (250.0,))
    assert y.mean[0] == pytest.approx(1.0, abs=0.01)  # without a record, its own
    assert x.foreground == y.foreground and x.foreground is not None


def test_a_cube_that_nobody_painted_or_recorded_is_named(config: Config, tmp_path: Path) -> None:
    write_cube(tmp_path / "cubes", "empty", value=2)
    write_cube(tmp_path / "cubes", "painted")
    write_cube(tmp_path / "cubes", "x")
    write_record(tmp_path / "cubes", {"x": place("c1", (0, 0, 0))}, {"c1": volume((32, 32, 32))})
    lines: list[str] = []

    store = prepare(config, notes=lines.append)

    assert lines == [
        "cubes of data.cubes without a labelled voxel, which train nothing: 1 of 3, first empty",
        "cubes of data.cubes that no suggestions.json names, which train also what judges their "
        "volume: 2 of 3, first empty",
    ]
    data = TrainingData.of_store(store, config)
    config = with_channels(config, data)
    whole = fold_data(data, config, "all")
    assert {case.id for case in whole.train} >= {"empty", "painted"}
    assert not {case.id for case in whole.validation} & {"empty", "painted"}


def test_a_cube_that_was_painted_since_makes_the_store_outdated(
    config: Config, tmp_path: Path
) -> None:
    write_cube(tmp_path / "cubes", "x")
    prepare(config)
    tifffile.imwrite(tmp_path / "cubes/labels/x.tif", np.zeros((8, 8, 8), np.uint8))

    with pytest.raises(InputError, match=r"raw file data\.cubes/cubes/labels/x\.tif changed since"):
        prepare(config)


def test_cubes_that_cannot_be_used_are_refused(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "cubes"
    with pytest.raises(InputError, match=r"data\.cubes: .*images is no folder; name folders with"):
        prepare(config)
    write_cube(folder, "c1")
    with pytest.raises(InputError, match=r"data\.cubes: id c1 stands for 2 cases; rename"):
        prepare(config)
    (folder / "images/c1.tif").rename(folder / "images/x.tif")
    with pytest.raises(InputError, match=r"x\.tif: no file of this name in .*labels; add it"):
        prepare(config)
    (folder / "labels/c1.tif").rename(folder / "labels/x.tif")
    (folder / "suggestions.json").write_text('{"version": 1, "cubes": {"x": 3}, "volumes": {}}')
    with pytest.raises(InputError, match=r"suggestions\.json: cannot be read \(cubes\.x: "):
        prepare(config)
    write_record(folder, {}, {}, version=7)
    with pytest.raises(InputError, match=r"record version must be 1, found 7 of a newer vesuv"):
        prepare(config)
    numbers = volume((64, 64, 64))
    numbers["statistics"] = {key: [*v, *v] for key, v in numbers["statistics"].items()}
    write_record(folder, {"x": place("v", (0, 0, 0))}, {"v": numbers})
    with pytest.raises(InputError, match=r"cube x has 1 channel, found 2 in the record of its"):
        prepare(config)
    assert not (tmp_path / "store").exists()


def test_folders_of_cubes_count_from_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    tree = {"data": {"root": "d", "cubes": [".", "../e", "/f"]}}
    tree |= {"labels": {"classes": {"a": 0, "b": 1}}}
    tree |= {"phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}]}
    (tmp_path / "c/t.yaml").write_text(dump_yaml(tree))

    config = load_config(tmp_path / "c/t.yaml")

    assert config.data.cubes == (str(tmp_path / "c"), str(tmp_path / "e"), "/f")

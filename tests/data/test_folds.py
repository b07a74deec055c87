from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vesuv.config.data import FoldsConfig
from vesuv.data.folds import load_folds, make_folds, read_folds
from vesuv.data.records import CaseAttributes, DatasetSummary
from vesuv.data.statistics import CaseStatistics, DatasetStatistics
from vesuv.data.store import Store, StoredCase
from vesuv.errors import InputError, InputErrors

NONE = CaseStatistics((0.0,), (1.0,), (0.0,), (1.0,))


def cases(num: int, groups: list[str | None] | None = None) -> list[StoredCase]:
    groups = groups or [None] * num
    attributes = CaseAttributes(
        id="c",
        group=None,
        shape=(1, 1, 1),
        spacing=(1.0, 1.0, 1.0),
        num_channels=1,
        num_classes=2,
        dtype="uint8",
        values={},
        statistics=NONE,
    )
    names = [{"id": f"c{number:03d}", "group": groups[number]} for number in range(num)]
    return [StoredCase(attributes.model_copy(update=name), Path("none")) for name in names]


def store(path: Path, num: int) -> Store:
    return store_of(path, [case.id for case in cases(num)])


def store_of(path: Path, ids: list[str]) -> Store:
    every = dict(zip(ids, cases(len(ids)), strict=True))
    summary = DatasetSummary.model_construct()
    return Store(path, every, summary, DatasetStatistics(len(ids), None), "", {}, {})


@given(num=st.integers(2, 60), folds=st.integers(2, 7), seed=st.integers(0, 99))
def test_every_case_validates_exactly_one_fold(num: int, folds: int, seed: int) -> None:
    drawn = make_folds(cases(num), FoldsConfig(num=folds, seed=seed))
    if num < folds:
        with pytest.raises(InputError, match=r"cannot be split into"):
            drawn.split(0)
        return

    held = [case for fold in range(folds) for case in drawn.split(fold)[1]]
    assert sorted(held) == [case.id for case in cases(num)]
    for fold in range(folds):
        train, validation = drawn.split(fold)
        assert sorted(train + validation) == list(drawn.ids)
        assert num // folds <= len(validation) <= -(-num // folds)


def test_the_seed_decides_and_the_order_of_cases_does_not() -> None:
    config = FoldsConfig(num=5, seed=1)

    assert make_folds(cases(20), config) == make_folds(cases(20)[::-1], config)
    assert make_folds(cases(20), config) != make_folds(cases(20), FoldsConfig(num=5, seed=2))


def test_a_group_never_crosses_grouped_folds() -> None:
    groups: list[str | None] = [f"s{number % 6}" for number in range(30)]
    every = cases(30, groups)
    group_of = {case.id: case.group for case in every}

    drawn = make_folds(every, FoldsConfig(num=3, by="grouped"))

    owners = [{group_of[case] for case in part} for part in drawn.validation]
    assert sum(map(len, owners)) == 6
    assert [len(part) for part in drawn.validation] == [10, 10, 10]


def test_stratified_folds_hold_each_group_in_proportion() -> None:
    groups: list[str | None] = ["a"] * 20 + ["b"] * 10 + ["c"] * 7
    every = cases(37, groups)
    group_of = {case.id: case.group for case in every}

    drawn = make_folds(every, FoldsConfig(num=5, by="stratified"))

    for part in drawn.validation:
        found = Counter(group_of[case] for case in part)
        assert found["a"] == 4
        assert found["b"] == 2
        assert found["c"] in (1, 2)


def test_grouping_without_groups_is_refused() -> None:
    with pytest.raises(InputError, match=r"grouped needs a group .* 4 have none, first c000"):
        make_folds(cases(4), FoldsConfig(num=2, by="grouped"))


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(InputError, match=r"3 folds cannot keep 2 groups together"):
        make_folds(cases(4, ["a", "a", "b", "b"]), FoldsConfig(num=3, by="grouped"))


def test_all_trains_on_every_case() -> None:
    assert make_folds(cases(4), FoldsConfig(num=2)).split("all") == (
        ["c000", "c001", "c002", "c003"],
        [],
    )


def test_an_unknown_fold_is_refused() -> None:
    with pytest.raises(InputError, match=r"--fold 2: folds go from 0 to 1"):
        make_folds(cases(4), FoldsConfig(num=2)).split(2)


def test_too_few_cases_can_still_all_be_trained_on(tmp_path: Path) -> None:
    folds = load_folds(store(tmp_path, 1), FoldsConfig(num=5))

    assert folds.split("all") == (["c000"], [])
    with pytest.raises(InputError, match=r"1 case cannot be split into 5 folds.*--fold all"):
        folds.split(0)


def test_the_file_is_written_once_and_an_edit_is_kept(tmp_path: Path) -> None:
    config = FoldsConfig(num=2)
    drawn = load_folds(store(tmp_path, 4), config)
    file = tmp_path / "folds.yaml"
    assert load_folds(store(tmp_path, 4), config) == drawn

    head = file.read_text().split("folds:\n")[0]
    file.write_text(head + "folds:\n- [c003]\n- [c000, c001, c002]\n")

    assert load_folds(store(tmp_path, 4), config).split(0) == (["c000", "c001", "c002"], ["c003"])


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ("[[c000], [c001, c002]]", r"case c003 must stand in exactly one fold, found in 0"),
        ("[[c000, c001], [c001, c002, c003]]", r"case c001 must stand .* found in 2"),
        ("[[c000, c001], [c002, c003, x]]", r"case x is not in the store"),
        ("[[], [c002]]", r"each fold is a list of at least one case id"),
        ("5", r"needs a list `folds`"),
    ],
)
def test_an_edit_that_is_no_partition_is_refused(tmp_path: Path, folds: str, message: str) -> None:
    file = tmp_path / "folds.yaml"
    file.write_text(f"{{version: 1, num: 2, seed: 0, by: random, folds: {folds}}}")

    with pytest.raises(InputErrors, match=message):
        load_folds(store(tmp_path, 4), FoldsConfig(num=2))


@pytest.mark.parametrize("change", [{"num": 3}, {"seed": 7}, {"by": "grouped"}])
def test_a_file_for_other_settings_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    load_folds(store(tmp_path, 4), FoldsConfig(num=2))
    (key,) = change

    with pytest.raises(InputErrors, match=rf"made with data\.folds\.{key} .* configuration says"):
        read_folds(tmp_path / "folds.yaml", ["c000"], FoldsConfig(**{"num": 2, **change}))


SPLITS = [
    {"train": ["c000", "c001"], "val": ["c003"]},
    {"train": ["c000", "c003"], "val": ["c001", "c002"]},
]


def splits(folder: Path, content: Any) -> Path:
    file = folder / "splits_final.json"
    file.write_text(json.dumps(content))
    return file


def test_folds_of_a_file_are_used_as_they_are(tmp_path: Path) -> None:
    file = splits(tmp_path, SPLITS)

    for _ in range(2):  # read first, then from folds.yaml
        folds = load_folds(store(tmp_path, 4), FoldsConfig(num=5), file)

        assert folds.num == 2
        assert folds.file == str(file)
        assert folds.split(0) == (["c000", "c001"], ["c003"])
        assert folds.split(1) == (["c000", "c003"], ["c001", "c002"])
        with pytest.raises(InputError, match=r"--fold 2: folds go from 0 to 1 \(.*splits_final"):
            folds.split(2)


def test_a_partition_of_a_file_lists_its_validation_cases_alone(tmp_path: Path) -> None:
    every = [f"c{number:03d}" for number in range(4)]
    parts = [every[:1], every[1:]]
    content = [{"train": [n for n in every if n not in part], "val": part} for part in parts]

    load_folds(store(tmp_path, 4), FoldsConfig(), splits(tmp_path, content))

    assert "training" not in yaml.safe_load((tmp_path / "folds.yaml").read_text())
    folds = load_folds(store(tmp_path, 4), FoldsConfig())  # the raw data are gone
    assert folds.split(1) == (["c000"], ["c001", "c002", "c003"])


def test_a_file_that_changed_is_refused_until_its_folds_are_read_again(tmp_path: Path) -> None:
    load_folds(store(tmp_path, 4), FoldsConfig(), splits(tmp_path, SPLITS))
    file = splits(tmp_path, SPLITS[::-1])

    with pytest.raises(InputErrors, match=r"folds\.yaml: holds the folds of .* has others now"):
        load_folds(store(tmp_path, 4), FoldsConfig(), file)

    (tmp_path / "folds.yaml").unlink()
    assert load_folds(store(tmp_path, 4), FoldsConfig(), file).split(1)[1] == ["c003"]


def test_folds_of_a_file_do_not_serve_drawn_ones(tmp_path: Path) -> None:
    load_folds(store(tmp_path, 4), FoldsConfig(), splits(tmp_path, SPLITS))

    with pytest.raises(InputErrors, match=r"data\.folds\.file is null now; set the key back"):
        load_folds(store(tmp_path, 4), FoldsConfig(file=None))


def test_drawn_folds_do_not_serve_a_file_that_the_configuration_names(tmp_path: Path) -> None:
    load_folds(store(tmp_path, 4), FoldsConfig(num=2))

    with pytest.raises(InputErrors, match=r"data\.folds\.file null, the .* says mine\.json; set"):
        load_folds(store(tmp_path, 4), FoldsConfig(file="mine.json"), tmp_path / "mine.json")


def test_a_mistyped_file_of_folds_is_not_taken_for_the_former_one(tmp_path: Path) -> None:
    load_folds(store(tmp_path, 4), FoldsConfig(), splits(tmp_path, SPLITS))

    with pytest.raises(InputErrors, match=r"folds of .*splits_final\.json, .* is typo\.json now"):
        load_folds(store(tmp_path, 4), FoldsConfig(file="typo.json"), tmp_path / "typo.json")


def test_drawn_folds_stay_when_a_file_appears(tmp_path: Path) -> None:
    drawn = load_folds(store(tmp_path, 4), FoldsConfig(num=2))

    assert load_folds(store(tmp_path, 4), FoldsConfig(num=2), splits(tmp_path, SPLITS)) == drawn


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("folds: [[c003], [c001, c003]]", r"case c003 validates 2 folds"),
        ("folds: [[c003]]", r"as many lists in `training` as in `folds`"),
        ("folds: [[c003], [c000]]", r"case c000 stands 2 times in fold 1"),
    ],
)
def test_an_edit_of_folds_of_a_file_is_checked(tmp_path: Path, change: str, message: str) -> None:
    load_folds(store(tmp_path, 4), FoldsConfig(), splits(tmp_path, SPLITS))
    file = tmp_path / "folds.yaml"
    content = yaml.safe_load(file.read_text()) | yaml.safe_load(change)
    file.write_text(yaml.safe_dump(content))

    with pytest.raises(InputErrors, match=message):
        load_folds(store(tmp_path, 4), FoldsConfig())


def test_ids_that_look_like_numbers_stay_what_they_are(tmp_path: Path) -> None:
    names = ["1e5", "8.e3", "0x1f", "007", "1_0", "on", "~", "Gefäß 1", "12", ".5"]
    content = [{"train": names[:5], "val": names[5:]}, {"train": names[5:], "val": names[:5]}]

    load = partial(load_folds, store_of(tmp_path, names), FoldsConfig())

    assert load(splits(tmp_path, content)) == load()

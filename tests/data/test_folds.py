from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
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
    every = {case.id: case for case in cases(num)}
    summary = DatasetSummary.model_construct()
    return Store(path, every, summary, DatasetStatistics(num, None), "", {}, {})


@given(num=st.integers(2, 60), folds=st.integers(2, 7), seed=st.integers(0, 99))
def test_every_case_validates_exactly_one_fold(num: int, folds: int, seed: int) -> None:
    if num < folds:
        with pytest.raises(InputError, match=r"cannot be split into"):
            make_folds(cases(num), FoldsConfig(num=folds, seed=seed))
        return

    drawn = make_folds(cases(num), FoldsConfig(num=folds, seed=seed))

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

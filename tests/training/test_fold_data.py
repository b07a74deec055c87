from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.conftest import tiny_tree
from vesuv.config import Config, check
from vesuv.data.builder import open_or_prepare_store
from vesuv.data.case import Case
from vesuv.data.folds import FILE
from vesuv.data.preparation import prepare_in_memory
from vesuv.errors import InputError
from vesuv.training.fold_data import (
    TrainingData,
    check_fold_numbers,
    fold_data,
    with_channels,
)


def config_of(num: int = 2, **sections: Any) -> Config:
    tree = tiny_tree(Path(), Path())
    return check(tree | {"data": {"root": "memory", "folds": {"num": num}}} | sections, "test")


def cases(*labels: list[int]) -> list[Case]:
    """Cases of four voxels, one intensity higher from case to case."""
    return [
        Case(f"c{i}", np.full((1, 2, 2), 10 + i, np.uint8), np.array(label).reshape(1, 2, 2))
        for i, label in enumerate(labels)
    ]


def in_memory(config: Config, *labels: list[int]) -> TrainingData:
    return TrainingData.in_memory(prepare_in_memory(cases(*labels), config), config)


def test_a_fold_splits_the_cases_and_counts_the_classes_of_those_in_training() -> None:
    config = config_of()
    data = in_memory(config, [0, 0, 1, 2], [0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1])

    for fold in (0, 1):
        split = fold_data(data, config, fold)
        train, validation = ({case.id for case in part} for part in (split.train, split.validation))
        assert len(train) == len(validation) == 2
        assert train | validation == {"c0", "c1", "c2", "c3"}
        judged = np.concatenate([data.cases[name].label.ravel() for name in train])
        share = (judged == 1).sum() / (judged <= 1).sum()
        assert split.class_fractions == pytest.approx((1 - share, share))


def test_fold_all_trains_and_validates_on_every_case() -> None:
    config = config_of()

    split = fold_data(in_memory(config, [0, 0, 1, 2], [0, 1, 1, 1]), config, "all")

    assert [case.id for case in split.train] == [case.id for case in split.validation]
    assert split.class_fractions == pytest.approx((3 / 7, 4 / 7))


def test_a_store_and_its_cases_in_memory_are_split_alike(tiny_config: Config) -> None:
    stored = TrainingData.of_store(open_or_prepare_store(tiny_config), tiny_config)

    data = TrainingData.in_memory(list(stored.cases.values()), tiny_config)

    assert data.folds == stored.folds
    assert (str(stored), str(data)) == (tiny_config.data.store, "the cases in memory")


@pytest.mark.parametrize("changed", ["id", "group", "spacing", "image", "label"])
def test_the_fingerprint_tells_any_change_of_the_cases(changed: str) -> None:
    config = config_of()
    made = cases([0, 0, 1, 2], [0, 1, 1, 1])
    others = {
        "id": {"id": "c9"},
        "group": {"group": "north"},
        "spacing": {"spacing": (1.0, 1.0, 2.0)},
        "image": {"image": made[1].image + np.uint8(1)},
        "label": {"label": 1 - np.minimum(made[1].label, 1)},
    }

    def fingerprint(*cases: Case) -> str:
        return TrainingData.in_memory(prepare_in_memory(cases, config), config).fingerprint

    other = dataclasses.replace(made[1], **others[changed])
    assert fingerprint(*made) == fingerprint(*reversed(made))
    assert fingerprint(*made) != fingerprint(made[0], other)


def test_training_cases_without_a_judged_voxel_are_refused() -> None:
    config = config_of()

    with pytest.raises(InputError, match="the cases in memory: every voxel of the training cases"):
        fold_data(in_memory(config, [2] * 4, [2] * 4), config, "all")


def test_training_cases_without_foreground_are_refused() -> None:
    config = config_of()
    data = in_memory(config, [0, 0, 0, 1], [0, 0, 2, 0])
    learns = next(fold for fold in (0, 1) if data.folds.split(fold)[0] == ["c0"])

    assert fold_data(data, config, learns).class_fractions == (0.75, 0.25)
    with pytest.raises(InputError, match="every judged voxel of the training cases is background"):
        fold_data(data, config, 1 - learns)


def test_fewer_cases_than_folds_are_refused_for_a_fold_and_fine_for_all() -> None:
    config = config_of(num=3)
    data = in_memory(config, [0, 0, 1, 2], [0, 1, 1, 1])

    with pytest.raises(InputError, match="2 cases cannot be split into 3 folds"):
        fold_data(data, config, 0)
    assert len(fold_data(data, config, "all").train) == 2


def test_a_fold_that_will_not_be_drawn_is_refused_before_the_preparation(
    tiny_config: Config,
) -> None:
    check_fold_numbers(tiny_config, [0, 1, "all"])
    with pytest.raises(InputError, match=r"--fold 2: folds go from 0 to 1 \(data\.folds\.num\)"):
        check_fold_numbers(tiny_config, [0, 2])

    tree = tiny_config.model_dump(mode="json")
    tree["data"]["folds"]["num"] = 9
    config = check(tree, "test")
    check_fold_numbers(config, ["all"])
    with pytest.raises(InputError, match="cases cannot be split into 9 folds; lower it, or train"):
        check_fold_numbers(config, [0])


def test_a_fold_of_a_store_is_one_of_its_file_and_none_is_drawn_to_check_it(
    tiny_config: Config,
) -> None:
    store = open_or_prepare_store(tiny_config)
    file = store.path / FILE
    drawn = yaml.safe_load(file.read_text())
    first, *others = [case for fold in drawn["folds"] for case in fold]
    file.write_text(yaml.safe_dump(drawn | {"folds": [[first], others[:1], others[1:]]}))

    check_fold_numbers(tiny_config, [2], store)
    with pytest.raises(InputError, match="--fold 3: folds go from 0 to 2"):
        check_fold_numbers(tiny_config, [3], store)

    file.unlink()
    with pytest.raises(InputError, match="--fold 2: folds go from 0 to 1"):
        check_fold_numbers(tiny_config, [2], store)
    assert not file.exists()


def two_channels(num: int = 2, **sections: Any) -> tuple[Config, TrainingData]:
    config = config_of(num, **sections)
    made = [
        dataclasses.replace(case, image=np.stack([case.image, case.image]))
        for case in cases([0, 0, 1, 2], [0, 1, 1, 1], [0, 0, 0, 1], [0, 1, 0, 1])
    ]
    return config, TrainingData.in_memory(prepare_in_memory(made, config), config)


def test_the_channels_follow_from_the_cases() -> None:
    config, data = two_channels()

    resolved = with_channels(config, data)

    assert config.model.written_channels is None
    assert resolved.model.in_channels == resolved.model.written_channels == 2
    assert with_channels(resolved, data) == resolved


def test_written_channels_are_compared_with_the_cases() -> None:
    model = {"filters": 4, "depth": 2}
    _, data = two_channels(model=model | {"in_channels": 2})
    one = config_of(model=model | {"in_channels": 1})

    with pytest.raises(
        InputError,
        match=r"the cases in memory: model\.in_channels: must equal the images' channels \(2 in "
        r"case c0, 3 more cases differ too\), found 1",
    ):
        with_channels(one, data)
    with pytest.raises(InputError, match=r"^model\.in_channels: must equal .* found 1"):
        two_channels(model=model | {"in_channels": 1})


def test_cases_in_memory_take_folds_from_a_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps([{"train": ["c0"], "val": ["c1"]}]))
    config = config_of()
    folds = config.data.folds.model_copy(update={"file": str(file)})
    data = config.data.model_copy(update={"folds": folds})

    made = in_memory(config.model_copy(update={"data": data}), [0, 0, 1, 2], [0, 1, 1, 1])

    assert made.folds.split(0) == (["c0"], ["c1"])


def test_validation_on_whole_cases_that_are_too_large_is_refused_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vesuv.inference.case_memory.memory_limit", lambda: 10.0)
    config = config_of(validation={"full_every": 2})

    with pytest.raises(InputError, match=r"case c\d: .* \(validation\.full_every: null\)"):
        fold_data(in_memory(config, [0, 0, 1, 2], [0, 1, 1, 1]), config, 0)
    config = config_of()
    fold_data(in_memory(config, [0, 0, 1, 2], [0, 1, 1, 1]), config, 0)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vesuv.config.data import DataConfig, FoldsConfig
from vesuv.data.splits import digest, read_splits, splits_file
from vesuv.errors import InputError, InputErrors


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def config(root: Path, **folds: Any) -> DataConfig:
    return DataConfig(root=str(root), folds=FoldsConfig(**folds))


def test_folds_are_read_as_they_are(tmp_path: Path) -> None:
    folds = [{"train": ["a", "b"], "val": ["c"]}, {"train": ["c"], "val": ["é 1", "a"]}]

    assert read_splits(written(tmp_path / "s.json", folds), ["a", "b", "c", "é 1"]) == [
        (("a", "b"), ("c",)),
        (("c",), ("é 1", "a")),
    ]


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ([{"train": ["a"], "val": ["b", "z"]}], r"case z is not in the data set; take it out"),
        ([{"train": ["a"], "val": ["a", "b"]}], r"case a stands 2 times in fold 0; a case either"),
        ([{"train": ["a", "a"], "val": ["b"]}], r"case a stands 2 times in fold 0"),
        ([{"train": ["a"], "val": ["a"]}], r"case b of the data set stands in no fold"),
        ([{"train": ["a"], "val": ["b"]}] * 2, r"case b validates 2 folds; a case validates one"),
        ([], r'holds a list with \{"train": \[ids\], "val": \[ids\]\} for each fold'),
        ([{"train": ["a", "b"]}], r"for each fold, at least one id in each"),
        ([{"train": ["a", "b"], "val": []}], r"for each fold, at least one id in each"),
        ([{"train": ["a", 1], "val": ["b"]}], r"for each fold, at least one id in each"),
        ({"folds": []}, r"for each fold, at least one id in each, found \{'folds'"),
    ],
)
def test_folds_that_cannot_be_used_are_refused(tmp_path: Path, folds: Any, message: str) -> None:
    with pytest.raises(InputError, match=rf"s\.json: .*{message}"):
        read_splits(written(tmp_path / "s.json", folds), ["a", "b"])


def test_every_fault_of_a_file_is_named(tmp_path: Path) -> None:
    file = written(tmp_path / "s.json", [{"train": ["y"], "val": ["z"]}])

    with pytest.raises(InputErrors) as caught:
        read_splits(file, ["a"])

    assert len(caught.value.faults) == 3


def test_a_file_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"s\.json: no such file; correct data\.folds\.file"):
        read_splits(tmp_path / "s.json", ["a"])
    (tmp_path / "s.json").write_text("[")
    with pytest.raises(InputError, match=r"s\.json: cannot be read as JSON"):
        read_splits(tmp_path / "s.json", ["a"])


def test_a_file_of_the_default_name_is_used_where_it_is(tmp_path: Path) -> None:
    root = tmp_path / "nnUNet_raw" / "Dataset004_A"
    root.mkdir(parents=True)
    assert splits_file(config(root)) is None

    there = written(tmp_path / "nnUNet_preprocessed" / root.name / "splits_final.json", [])
    assert splits_file(config(root)) == there

    own = written(root / "splits_final.json", [])
    assert splits_file(config(root)) == own
    assert splits_file(config(root, file=None)) is None


def test_a_file_of_another_name_is_used_in_any_case(tmp_path: Path) -> None:
    assert splits_file(config(tmp_path, file="my.json")) == tmp_path / "my.json"
    assert splits_file(config(tmp_path, file="/else/my.json")) == Path("/else/my.json")


def test_the_digest_tells_a_change(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    assert digest(file) is None
    one = digest(written(file, [1]))

    assert one == digest(written(file, [1]))
    assert one != digest(written(file, [2]))

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from vesuv.config.data import DataConfig
from vesuv.data.case_paths import CasePaths
from vesuv.data.layouts import find_cases, read_groups, scan_cases
from vesuv.errors import InputError, InputErrors
from vesuv.io.tables import write_csv


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def config(root: Path, **changes: Any) -> DataConfig:
    return DataConfig(root=str(root), **changes)


def kaggle(root: Path, lines: str = "id,scroll_id\n2,s1\n1,s2\n") -> Path:
    put(root, "train_images/1.tif", "train_images/2.tif", "train_images/9.tif")
    put(root, "train_labels/1.tif", "train_labels/2.tif")
    (root / "train.csv").write_text(lines)
    return root


def test_kaggle_lists_the_ids_of_train_csv_with_their_scroll(tmp_path: Path) -> None:
    found = find_cases(config(kaggle(tmp_path)))

    image, label = tmp_path / "train_images", tmp_path / "train_labels"
    assert found == [
        CasePaths("1", (image / "1.tif",), label / "1.tif", "s2"),
        CasePaths("2", (image / "2.tif",), label / "2.tif", "s1"),
    ]


def test_kaggle_skips_deprecated_ids(tmp_path: Path) -> None:
    put(kaggle(tmp_path, "id,scroll_id\n1,a\n3,a\n"), "deprecated_train_images/3.tif")

    assert [case.id for case in find_cases(config(tmp_path))] == ["1"]


def test_every_listed_id_without_a_file_is_a_fault(tmp_path: Path) -> None:
    kaggle(tmp_path, "id,scroll_id\n1,a\n3,a\n9,a\n")

    cases, faults = scan_cases(config(tmp_path))

    assert [case.id for case in cases] == ["1"]
    assert len(faults) == 2
    with pytest.raises(InputErrors, match=r"case 9 has no file in train_labels"):
        find_cases(config(tmp_path))


def test_kaggle_without_train_csv_names_the_other_layout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.csv: no such file.*use layout folders"):
        find_cases(config(tmp_path))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("name,scroll_id\n1,a\n", r"needs a column `id`, found \['name', 'scroll_id'\]"),
        ("id,scroll_id\n1,a\n1,b\n", r"id 1 stands twice"),
    ],
)
def test_a_broken_train_csv_is_named(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_cases(config(kaggle(tmp_path, lines)))


def test_a_train_csv_in_another_encoding_is_named(tmp_path: Path) -> None:
    (kaggle(tmp_path) / "train.csv").write_bytes(b"id\n\xff\xfe\n")

    with pytest.raises(InputError, match=r"train\.csv: cannot be read as CSV"):
        find_cases(config(tmp_path))


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    put(kaggle(tmp_path), "train_images/1.npy")

    with pytest.raises(InputError, match=r"1\.tif: 1\.npy has the same name"):
        find_cases(config(tmp_path))


def test_a_missing_root_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.root: .*gone is no folder"):
        find_cases(config(tmp_path / "gone"))
    (tmp_path / "a").mkdir()
    with pytest.raises(
        InputError,
        match=r"no case found in layout folders, of volumes in files \.tif, .*; see data\.layout",
    ):
        find_cases(config(tmp_path, layout="folders", images="a", labels="a"))


@pytest.mark.parametrize(
    ("layout", "sentence"),
    [
        ("folders", r"train_images: no such folder; .* holds masks, scans: use --set data\.images"),
        ("nnunet", r"imagesTr: no such folder; .* holds masks, scans: use --set data\.layout"),
    ],
)
def test_a_missing_folder_is_named_beside_those_that_are_there(
    tmp_path: Path, layout: str, sentence: str
) -> None:
    for name in ("scans", "masks"):
        (tmp_path / name).mkdir()

    with pytest.raises(InputError, match=sentence):
        find_cases(config(tmp_path, layout=layout))


def test_folders_are_matched_by_name_across_formats(tmp_path: Path) -> None:
    put(tmp_path, "im/a.nii.gz", "la/a.nrrd")

    (case,) = find_cases(config(tmp_path, layout="folders", images="im", labels="la"))

    assert (case.id, case.images[0].name, case.group) == ("a", "a.nii.gz", None)


def test_folders_take_groups_from_train_csv_when_there_is_one(tmp_path: Path) -> None:
    put(tmp_path, "im/a.tif", "la/a.tif")
    (tmp_path / "train.csv").write_text("id,scroll_id\na,s7\n")

    (case,) = find_cases(config(tmp_path, layout="folders", images="im", labels="la"))

    assert case.group == "s7"


def test_cells_that_are_quoted_against_spreadsheets_are_read_as_they_were(tmp_path: Path) -> None:
    put(tmp_path, "im/=a.tif", "la/=a.tif")
    write_csv(tmp_path / "train.csv", [{"id": "=a", "scroll_id": "-7"}])

    (case,) = find_cases(config(tmp_path, layout="folders", images="im", labels="la"))

    assert "'=a,-7" in (tmp_path / "train.csv").read_text()
    assert (case.id, case.group) == ("=a", "-7")


def test_folders_name_each_file_without_a_partner(tmp_path: Path) -> None:
    put(tmp_path, "im/a.tif", "im/b.tif", "la/a.tif", "la/c.tif")

    with pytest.raises(InputErrors, match=r"(?s)b\.tif: no file.*la.*c\.tif: no file.*im"):
        find_cases(config(tmp_path, layout="folders", images="im", labels="la"))


def test_a_train_csv_that_is_a_pipe_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.csv")

    with pytest.raises(InputError, match=r"train\.csv: cannot be read as CSV \(is a named pipe"):
        read_groups(tmp_path / "train.csv")

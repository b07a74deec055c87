from __future__ import annotations

from pathlib import Path

import pytest

from vesuv.config.data import DataConfig
from vesuv.data.case_paths import CasePaths
from vesuv.data.layouts import find_cases, scan_cases
from vesuv.data.pairs import find_words, with_last_word
from vesuv.errors import InputError


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def config(root: Path) -> DataConfig:
    return DataConfig(root=str(root), layout="pairs", images="image", labels="label")


def test_image_and_label_of_one_name_side_by_side_are_a_case(tmp_path: Path) -> None:
    put(tmp_path, "b_image.nrrd", "b_label.nrrd", "a-1_image.nii.gz", "a-1_label.nii.gz")

    assert find_cases(config(tmp_path)) == [
        CasePaths("a-1", (tmp_path / "a-1_image.nii.gz",), tmp_path / "a-1_label.nii.gz", None),
        CasePaths("b", (tmp_path / "b_image.nrrd",), tmp_path / "b_label.nrrd", None),
    ]


def test_names_without_a_case_are_the_case_of_their_folder(tmp_path: Path) -> None:
    put(tmp_path, "one/image.nii", "one/label.nii", "two/image.nii", "two/label.nii")

    assert [case.id for case in find_cases(config(tmp_path))] == ["one", "two"]


def test_groups_come_from_train_csv(tmp_path: Path) -> None:
    put(tmp_path, "a_image.nii", "a_label.nii")
    (tmp_path / "train.csv").write_text("id,scroll_id\na,s1\n")

    assert find_cases(config(tmp_path))[0].group == "s1"


def test_a_file_without_its_partner_is_a_fault(tmp_path: Path) -> None:
    put(tmp_path, "a_image.nii", "b_image.nii", "b_label.nii", "c_label.nii")

    cases, faults = scan_cases(config(tmp_path))

    assert [case.id for case in cases] == ["b"]
    assert faults == [
        f"{tmp_path}/a_image.nii: no label of case a beside it; add it or take this one out",
        f"{tmp_path}/c_label.nii: no image of case c beside it; add it or take this one out",
    ]


def test_two_images_of_one_case_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a_image.nii", "a-image.nrrd")

    with pytest.raises(InputError, match=r"is the image of case a too; keep one of them"):
        with_last_word(sorted(tmp_path.iterdir()), "image")


def test_the_words_of_most_pairs_are_taken(tmp_path: Path) -> None:
    put(tmp_path, "a_img.nii", "a_seg.nii", "b_img.nii", "b_seg.nii", "c_image.nii", "c_label.nii")

    assert find_words(tmp_path) == ("img", "seg")


def test_a_folder_without_pairs_has_no_words(tmp_path: Path) -> None:
    put(tmp_path, "a_image.nii", "b_label.nii")

    assert find_words(tmp_path) is None


def test_images_may_have_the_name_of_the_case_alone(tmp_path: Path) -> None:
    put(tmp_path, "images/a.tif", "images/b.tif", "masks/a_mask.tif", "masks/b_mask.tif")

    assert find_words(tmp_path) == ("", "mask")
    bare = DataConfig(root=str(tmp_path), layout="pairs", images="", labels="mask")
    assert find_cases(bare) == [
        CasePaths("a", (tmp_path / "images/a.tif",), tmp_path / "masks/a_mask.tif", None),
        CasePaths("b", (tmp_path / "images/b.tif",), tmp_path / "masks/b_mask.tif", None),
    ]


def test_an_image_without_a_word_and_without_a_label_is_a_fault(tmp_path: Path) -> None:
    put(tmp_path, "a.tif", "a_mask.tif", "b.tif", "c_mask.tif")

    _, faults = scan_cases(DataConfig(root=str(tmp_path), layout="pairs", images="", labels="mask"))

    assert faults == [
        f"{tmp_path}/b.tif: no mask of case b beside it; add it or take this one out",
        f"{tmp_path}/c_mask.tif: no image of case c beside it; add it or take this one out",
    ]


def test_one_other_word_is_taken_and_of_several_none(tmp_path: Path) -> None:
    put(tmp_path, "a_t1.nii", "a_seg.nii", "b_t1.nii", "b_seg.nii")

    assert find_words(tmp_path) == ("t1", "seg")
    put(tmp_path, "a_flair.nii", "b_flair.nii")
    assert find_words(tmp_path) is None


def test_words_of_the_list_go_before_names_alone(tmp_path: Path) -> None:
    put(tmp_path, "a_image.nii", "a.nii", "a_seg.nii")

    assert find_words(tmp_path) == ("image", "seg")


def test_files_of_one_name_in_two_folders_are_no_pair(tmp_path: Path) -> None:
    put(tmp_path, "a.tif", "a_mask.tif", "probabilities/a.tif")

    assert find_words(tmp_path) is None

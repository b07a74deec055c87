from __future__ import annotations

from pathlib import Path

import pytest

from vesuv.errors import InputError
from vesuv.evaluation.pairs import find_pairs, labels_in, name_folders


def test_folders_are_called_by_their_own_names(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]

    assert name_folders(folders) == {"one": folders[0], "two": folders[1]}


def test_folders_of_one_name_are_told_apart_by_those_above(tmp_path: Path) -> None:
    folders = [tmp_path / "a" / "masks", tmp_path / "b" / "masks"]

    assert list(name_folders(folders)) == ["a/masks", "b/masks"]


def test_one_folder_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--predictions: .*masks is given twice"):
        name_folders([tmp_path / "masks", tmp_path / "a" / ".." / "masks"])


def test_the_prediction_of_an_image_belongs_to_the_label_beside_it(tmp_path: Path) -> None:
    for name in ("raw/a_image.nii", "raw/a_label.nii", "masks/a_image.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    (pair,), faults = find_pairs(tmp_path / "masks", tmp_path / "raw")

    assert pair.label == tmp_path / "raw/a_label.nii"
    assert not faults


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_prediction_belongs_to_the_label_with_a_word_behind_its_name(tmp_path: Path) -> None:
    put(tmp_path, "pred/a.tif", "pred/b.tif", "pred/c-img.tif")
    put(tmp_path, "masks/a_mask.tif", "masks/b.tif", "masks/c-mask.tif")

    pairs, faults = find_pairs(tmp_path / "pred", tmp_path / "masks")

    assert [pair.label.name for pair in pairs] == ["a_mask.tif", "b.tif", "c-mask.tif"]
    assert not faults


def test_the_prediction_of_an_image_of_nnunet_belongs_to_the_label_of_its_case(
    tmp_path: Path,
) -> None:
    put(tmp_path, "pred/a_0000.nii", "pred/b_0000.nii", "tr/a.nii", "tr/b.nii", "tr/b_0000.nii")

    pairs, faults = find_pairs(tmp_path / "pred", tmp_path / "tr")

    assert [pair.label.name for pair in pairs] == ["a.nii", "b_0000.nii"]
    assert not faults


def test_beside_its_image_a_label_is_the_file_with_the_word(tmp_path: Path) -> None:
    put(tmp_path, "pred/a.tif", "raw/a.tif", "raw/a_mask.tif")

    (pair,), _ = find_pairs(tmp_path / "pred", tmp_path / "raw")

    assert pair.label == tmp_path / "raw/a_mask.tif"


def test_a_case_with_two_labels_is_not_matched_by_their_words(tmp_path: Path) -> None:
    put(tmp_path, "pred/a.tif", "pred/b.tif", "masks/a_mask.tif", "masks/a_seg.tif", "masks/b.tif")

    pairs, faults = find_pairs(tmp_path / "pred", tmp_path / "masks")

    assert [pair.id for pair in pairs] == ["b"]
    assert len(faults) == 1


def test_labels_in_folders_of_their_cases_are_found(tmp_path: Path) -> None:
    put(tmp_path, "pred/a.tif", "pred/b.tif", "raw/a/imaging.tif", "raw/a/segmentation.tif")
    put(tmp_path, "raw/b/b_img.tif", "raw/b/b_seg.tif", "raw/c/imaging.tif", "raw/c/labels.tif")

    pairs, faults = find_pairs(tmp_path / "pred", tmp_path / "raw")

    assert [pair.label.name for pair in pairs] == ["segmentation.tif", "b_seg.tif"]
    assert not faults
    names = [path.name for path in labels_in(tmp_path / "raw")]
    assert names == ["segmentation.tif", "b_seg.tif", "labels.tif"]


def test_images_beside_their_labels_are_no_labels(tmp_path: Path) -> None:
    put(tmp_path, "a_image.tif", "a_label.tif", "b.tif")

    assert [path.name for path in labels_in(tmp_path)] == ["a_label.tif", "b.tif"]

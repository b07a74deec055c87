from __future__ import annotations

import re
from pathlib import Path

import pytest

from vesuv.errors import InputError
from vesuv.planning.recognition import recognise


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            ["train_images/1.tif", "train_labels/1.tif"],
            {"layout": "kaggle"},
        ),
        (
            ["imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "dataset.json"],
            {"layout": "nnunet"},
        ),
        (
            ["scans/a.nrrd", "scans/b.nrrd", "masks/a.nrrd", "masks/b.nrrd", "other/a.nrrd"],
            {"layout": "folders", "images": "scans", "labels": "masks"},
        ),
        (
            ["img/a.tif", "lab/a.tif"],
            {"layout": "folders", "images": "img", "labels": "lab"},
        ),
        (
            ["lab_a/a.tif", "lab_a_lbl/a.tif"],
            {"layout": "folders", "images": "lab_a", "labels": "lab_a_lbl"},
        ),
        (
            ["a_img.tif", "a_masks.tif"],
            {"layout": "pairs", "images": "img", "labels": "masks"},
        ),
        (
            ["x_image.nrrd", "x_label.nrrd"],
            {"layout": "pairs", "images": "image", "labels": "label"},
        ),
        (
            ["case1/imaging.nii.gz", "case1/segmentation.nii.gz"],
            {"layout": "pairs", "images": "imaging", "labels": "segmentation"},
        ),
        (
            ["a.zarr/zarr.json", "a.zarr/labels/cells/zarr.json"],
            {"layout": "ome_zarr", "labels": "cells"},
        ),
    ],
)
def test_layouts_are_recognised_by_names(
    files: list[str], expected: dict[str, str], tmp_path: Path
) -> None:
    put(tmp_path, *files)
    if expected["layout"] == "kaggle":
        (tmp_path / "train.csv").write_text("id,scroll_id\n1,s\n")

    assert recognise(tmp_path).data == expected


def test_one_ome_zarr_is_a_data_set(tmp_path: Path) -> None:
    put(tmp_path, "a.zarr/zarr.json", "a.zarr/labels/b/zarr.json", "a.zarr/labels/a/.zgroup")

    recognition = recognise(tmp_path / "a.zarr")

    assert recognition.data == {"layout": "ome_zarr", "labels": "a"}
    assert recognition.reason == "1 OME-Zarr image with the label a, of a, b"


def test_the_label_that_all_ome_zarrs_hold_is_taken(tmp_path: Path) -> None:
    put(tmp_path, "p.zarr/labels/a/zarr.json", "p.zarr/labels/b/zarr.json")
    put(tmp_path, "q.zarr/labels/b/zarr.json")

    assert recognise(tmp_path).data["labels"] == "b"


def test_nnunet_folders_without_dataset_json_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")

    with pytest.raises(InputError, match=r"dataset\.json: no such file; layout nnunet needs it"):
        recognise(tmp_path)


def test_an_unknown_layout_is_refused_with_what_was_found(tmp_path: Path) -> None:
    put(tmp_path, "a.tif", "b.tif")

    with pytest.raises(InputError, match=r"one of these layouts: .*; found a\.tif, b\.tif: rename"):
        recognise(tmp_path)


def test_dicom_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    put(tmp_path, "scans/a/0001.DCM", "masks/a/0001.dcm")

    with pytest.raises(InputError, match=r": holds DICOM, which is not read; convert each"):
        recognise(tmp_path)


def test_hdf5_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    put(tmp_path, "sample_a.hdf", "sample_b.hdf")

    with pytest.raises(InputError, match=r": holds HDF5, which is not read; convert each"):
        recognise(tmp_path)


def test_files_of_unknown_formats_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    put(tmp_path, "images/a.mhd", "images/a.raw", "masks/a.mhd")

    with pytest.raises(InputError, match=r"volumes are \.tif, .* files, found a\.mhd; convert"):
        recognise(tmp_path)


def test_folders_of_a_known_layout_below_are_named(tmp_path: Path) -> None:
    put(tmp_path, "train/images/a.tif", "train/masks/a.tif", "val/images/b.tif", "val/masks/b.tif")
    put(tmp_path, "other/c.tif")

    with pytest.raises(InputError, match=r"give one of the folders \S+/train, \S+/val$"):
        recognise(tmp_path)


@pytest.mark.parametrize(
    "names",
    [("a.tif", "a_mask.tif", "b.tif", "b_mask.tif"), ("images/a.tif", "masks/a_mask.tif")],
)
def test_labels_with_a_word_behind_their_images_name_are_recognised(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    put(tmp_path, *names)

    recognition = recognise(tmp_path)

    assert recognition.data == {"layout": "pairs", "images": "", "labels": "mask"}
    assert recognition.reason == "labels named as their images, with mask behind"


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone: no such folder; name the folder of the raw data"):
        recognise(tmp_path / "gone")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            ["scan_c1.nii.gz", "seg_c1.nii.gz", "scan_c2.nii.gz", "seg_c2.nii.gz"],
            "found scan_c1.nii.gz and seg_c1.nii.gz; rename all files like these two to "
            "c1_scan.nii.gz and c1_seg.nii.gz",
        ),
        (
            ["in/ct-a_b.nrrd", "out/Mask-a_b.nrrd", "notes.txt"],
            "found ct-a_b.nrrd and Mask-a_b.nrrd; rename all files like these two to "
            "a_b-ct.nrrd and a_b-Mask.nrrd",
        ),
    ],
)
def test_words_in_front_of_names_are_refused_with_the_names_to_give(
    files: list[str], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        recognise(put(tmp_path, *files))

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vesuv.config.data import DataConfig
from vesuv.config.labels import LabelsConfig
from vesuv.data.layouts import find_cases
from vesuv.data.nnunet import check_dataset_json, dataset_notes
from vesuv.errors import InputError, InputErrors
from vesuv.models.plain_unet import PlainUNetConfig

LABELS = LabelsConfig(classes={"background": 0, "surface": 1}, ignore=2)


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def config(root: Path) -> DataConfig:
    return DataConfig(root=str(root), layout="nnunet")


def nnunet(root: Path, **content: Any) -> Path:
    put(root, *(f"imagesTr/case_{c}_000{i}.nii.gz" for c in (1, 2) for i in (0, 1)))
    put(root, "labelsTr/case_1.nii.gz", "labelsTr/case_2.nii.gz", "imagesTr/notes.npy")
    declared = {"background": 0, "surface": 1, "ignore": 2}
    description = {"file_ending": ".nii.gz", "labels": declared, **content}
    (root / "dataset.json").write_text(json.dumps(description))
    return root


def test_nnunet_gathers_the_channels_of_a_case(tmp_path: Path) -> None:
    found = find_cases(config(nnunet(tmp_path)))

    assert [case.id for case in found] == ["case_1", "case_2"]
    assert [path.name for path in found[0].images] == ["case_1_0000.nii.gz", "case_1_0001.nii.gz"]
    assert found[0].label == tmp_path / "labelsTr" / "case_1.nii.gz"
    assert found[0].group is None


def test_nnunet_faults_are_all_listed(tmp_path: Path) -> None:
    nnunet(tmp_path)
    put(tmp_path, "imagesTr/x.nii.gz", "imagesTr/b_0000.nii.gz", "labelsTr/c.nii.gz")
    put(tmp_path, "imagesTr/d_0000.nii.gz", "imagesTr/d_0001.nii.gz")

    with pytest.raises(InputErrors) as caught:
        find_cases(config(tmp_path))

    text = "\n".join(caught.value.faults)
    assert "x.nii.gz: image names end in _0000" in text
    assert "channel b_0001 is missing" in text
    assert "case d has no label" in text
    assert "c.nii.gz: a label without an image" in text


def test_dataset_json_that_agrees_is_accepted(tmp_path: Path) -> None:
    check_dataset_json(nnunet(tmp_path), LABELS)


@pytest.mark.parametrize(
    "declared",
    [
        {"background": 0, "surface": 1, "fibre": 2},
        {"background": 0, "ignore": 2},
        {"background": 0, "surface": 1, "fibre": 3, "ignore": 2},
        {"background": 0, "surface": 1, "ignore": 3},
    ],
)
def test_dataset_json_with_other_labels_is_refused(
    tmp_path: Path, declared: dict[str, int]
) -> None:
    with pytest.raises(InputError, match=r"must name the same values; change one of them"):
        check_dataset_json(nnunet(tmp_path, labels=declared), LABELS)


def test_names_that_mean_other_values_in_dataset_json_are_refused(tmp_path: Path) -> None:
    root = nnunet(tmp_path, labels={"background": 0, "bone": 1, "dense": 2})
    swapped = LabelsConfig.model_validate({"classes": {"background": 0, "dense": 1, "bone": 2}})

    with pytest.raises(InputError, match=r"label dense is 2, in .*labels\.classes dense is 1"):
        check_dataset_json(root, swapped)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", r"needs a mapping `labels`, found None"),
        ("[]", r"holds a mapping, found list"),
        ("{", r"cannot be read as JSON"),
        (None, r"no such file; layout nnunet needs it"),
    ],
)
def test_a_broken_dataset_json_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "dataset.json").write_text(text)

    with pytest.raises(InputError, match=message):
        check_dataset_json(tmp_path, LABELS)


def test_a_value_that_dataset_json_does_not_name_may_be_ignored(tmp_path: Path) -> None:
    check_dataset_json(nnunet(tmp_path, labels={"background": 0, "surface": 1}), LABELS)


def test_a_dataset_json_with_an_ignore_label_is_not_read_without_it(tmp_path: Path) -> None:
    labels = LabelsConfig(classes={"background": 0, "surface": 1})

    with pytest.raises(InputError, match=r"with ignore 2 and .* with ignore None must name"):
        check_dataset_json(nnunet(tmp_path), labels)


def regions(core: tuple[str, ...]) -> LabelsConfig:
    return LabelsConfig(
        classes={"background": 0, "edema": 1, "core": 2},
        regions={"whole": ("edema", "core"), "tumour core": core},
    )


def test_regions_that_mean_other_values_in_dataset_json_are_refused(tmp_path: Path) -> None:
    declared = {"background": 0, "whole": [1, 2], "tumour core": 2}
    root = nnunet(tmp_path, labels=declared, regions_class_order=[1, 2])

    check_dataset_json(root, regions(("core",)))
    with pytest.raises(
        InputError, match=r"label tumour core is 2, in .*labels\.regions tumour core is \[1\]"
    ):
        check_dataset_json(root, regions(("edema",)))


def test_each_case_has_the_channels_of_dataset_json(tmp_path: Path) -> None:
    nnunet(tmp_path, channel_names={"0": "CT", "1": "PET"})
    put(tmp_path, "imagesTr/b_0001.nii.gz", "labelsTr/b.nii.gz")
    put(tmp_path, *(f"imagesTr/ç d_000{i}.nii.gz" for i in (0, 1, 2)), "labelsTr/ç d.nii.gz")

    with pytest.raises(InputErrors) as caught:
        find_cases(config(tmp_path))

    assert sorted(caught.value.faults) == [
        f"{tmp_path}/imagesTr/ç d_0002.nii.gz: dataset.json has 2 channel_names (CT, PET), so "
        "channels end with _0001; name this channel there, or remove the file",
        f"{tmp_path}/imagesTr: channel b_0000 (CT) is missing; add its file",
    ]


def test_a_channel_that_every_case_lacks_is_missing_too(tmp_path: Path) -> None:
    nnunet(tmp_path, channel_names={"0": "CT", "1": "PET", "2": "MR"})

    with pytest.raises(InputErrors, match=r"case_1_0002 \(MR\) is missing"):
        find_cases(config(tmp_path))


def test_written_channels_are_compared_with_the_channel_names(tmp_path: Path) -> None:
    root = nnunet(tmp_path, channel_names={"0": "CT", "1": "PET"})

    check_dataset_json(root, LABELS, PlainUNetConfig())
    check_dataset_json(root, LABELS, PlainUNetConfig(in_channels=2))
    with pytest.raises(
        InputError, match=r"in_channels: must equal the 2 channel_names \(CT, PET\) .* found 1"
    ):
        check_dataset_json(root, LABELS, PlainUNetConfig(in_channels=1))


def test_only_files_with_the_ending_of_dataset_json_are_taken(tmp_path: Path) -> None:
    nnunet(tmp_path)
    put(tmp_path, "imagesTr/e_0000.nrrd", "labelsTr/case_1.nrrd", "imagesTr/case_1_0000.nrrd")

    assert [case.id for case in find_cases(config(tmp_path))] == ["case_1", "case_2"]


def test_a_wrong_ending_names_the_pattern_and_the_endings_that_are_there(tmp_path: Path) -> None:
    root = nnunet(tmp_path, file_ending=".nrrd")
    put(tmp_path, "imagesTr/readme.txt")

    with pytest.raises(
        InputError,
        match=r"file_ending is \.nrrd, but no file is .*imagesTr/\*_0000\.nrrd; the endings there "
        r"are \.nii\.gz, \.npy, \.txt; correct file_ending",
    ):
        find_cases(config(root))


def test_a_wrong_ending_of_the_labels_is_named_once(tmp_path: Path) -> None:
    root = nnunet(tmp_path)
    for file in (root / "labelsTr").iterdir():
        file.rename(file.with_name(file.name.replace(".nii.gz", ".tif")))

    with pytest.raises(InputError, match=r"no file is .*labelsTr/\*\.nii\.gz; .* are \.tif;"):
        find_cases(config(root))


def test_an_ending_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"file_ending \.bmp cannot be read, only \.tif"):
        find_cases(config(nnunet(tmp_path, file_ending=".bmp")))


def test_another_number_of_cases_than_stated_is_said(tmp_path: Path) -> None:
    assert dataset_notes(nnunet(tmp_path), 2) == []
    assert dataset_notes(nnunet(tmp_path, numTraining=2), 2) == []

    (note,) = dataset_notes(nnunet(tmp_path, numTraining=3), 2)

    assert note == (
        f"{tmp_path}/dataset.json: numTraining is 3, imagesTr holds 2 cases; all of them are used"
    )


def test_one_png_holds_all_colours_as_nnunet_reads_natural_images(tmp_path: Path) -> None:
    put(tmp_path, "imagesTr/a_0000.png", "labelsTr/a.png")
    names = {"0": "R", "1": "G", "2": "B"}
    content = {"file_ending": ".png", "labels": {"background": 0, "road": 1}}
    (tmp_path / "dataset.json").write_text(json.dumps({**content, "channel_names": names}))

    (case,) = find_cases(config(tmp_path))

    assert [path.name for path in case.images] == ["a_0000.png"]

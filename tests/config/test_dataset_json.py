from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from vesuv.config.dataset_json import DatasetJson, read_dataset_json
from vesuv.config.labels import LabelsConfig
from vesuv.config.section import lists_to_tuples
from vesuv.errors import InputError

BRATS = {
    "background": 0,
    "whole tumor": [1, 2, 3],
    "tumor core": [2, 3],
    "enhancing": 3,
    "ignore": 4,
}


def written(folder: Path, **content: Any) -> DatasetJson:
    (folder / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return read_dataset_json(folder)


def section(folder: Path, **content: Any) -> LabelsConfig:
    return LabelsConfig.model_validate(lists_to_tuples(written(folder, **content).labels_section()))


def test_plain_labels_become_classes_with_the_background_first(tmp_path: Path) -> None:
    labels = section(tmp_path, labels={"vessel": 1, "ignore": 3, "background": 0, "Gefäß 2": 2})

    assert list(labels.classes.items()) == [("background", 0), ("vessel", 1), ("Gefäß 2", 2)]
    assert labels.ignore == 3
    assert labels.regions is None


def test_lists_without_overlap_are_merged_classes(tmp_path: Path) -> None:
    labels = section(tmp_path, labels={"background": [0, 5], "vessel": [1, 2], "nerve": "3"})

    assert labels.classes == {"background": (0, 5), "vessel": (1, 2), "nerve": 3}
    assert labels.regions is None


def test_regions_become_classes_of_single_values(tmp_path: Path) -> None:
    labels = section(tmp_path, labels=BRATS, regions_class_order=[1, 2, 3])

    assert list(labels.classes.items()) == [
        ("background", 0),
        ("label 1", 1),
        ("label 2", 2),
        ("enhancing", 3),
    ]
    assert labels.ignore == 4
    assert labels.regions == {
        "whole tumor": ("label 1", "label 2", "enhancing"),
        "tumor core": ("label 2", "enhancing"),
        "enhancing": ("enhancing",),
    }
    assert labels.regions_class_order == ("label 1", "label 2", "enhancing")
    assert labels.targets.members == ((1, 2, 3), (2, 3), (3,))
    assert labels.targets.written == (1, 2, 3)


def test_overlapping_labels_are_regions_without_an_order_too(tmp_path: Path) -> None:
    labels = section(tmp_path, labels=BRATS)

    assert labels.regions_class_order is None
    assert labels.targets.written == (1, 2, 3)


def test_an_order_without_lists_changes_nothing_as_in_nnunet(tmp_path: Path) -> None:
    labels = section(tmp_path, labels={"background": 0, "a": 1, "b": 2}, regions_class_order=[2, 1])

    assert labels.regions is None
    assert labels.regions_class_order is None


def test_lists_with_an_order_are_regions_as_in_nnunet(tmp_path: Path) -> None:
    content = {"labels": {"background": 0, "a": [1, 2], "b": 3}, "regions_class_order": [1, 3]}

    labels = section(tmp_path, **content)

    assert labels.regions == {"a": ("label 1", "label 2"), "b": ("b",)}


def test_made_up_names_are_none_of_the_declared_ones(tmp_path: Path) -> None:
    labels = section(tmp_path, labels={"background": 0, "all": [1, 2], "label 1": 2})

    assert labels.classes == {"background": 0, "label 1_": 1, "label 1": 2}


def test_files_of_version_1_are_read(tmp_path: Path) -> None:
    dataset = written(
        tmp_path,
        name="Task04",
        modality={"0": "CT", "1": "PET"},
        labels={"0": "background", "1": "Anterior", "2": "Posterior"},
        numTraining=260,
        training=[{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}],
    )

    assert dataset.labels_section() == {"classes": {"background": 0, "Anterior": 1, "Posterior": 2}}
    assert dataset.channel_names == ("CT", "PET")
    assert dataset.num_training == 260
    assert dataset.file_ending is None


def test_labels_that_are_digits_are_names_in_version_2(tmp_path: Path) -> None:
    assert written(tmp_path, labels={"0": 0, "1": "1"}).labels == {"0": (0,), "1": (1,)}


def test_channels_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = {str(number): f"c{number}" for number in reversed(range(11))}

    dataset = written(tmp_path, labels={"background": 0}, channel_names=names, file_ending=".NRRD")

    assert dataset.channel_names == tuple(f"c{number}" for number in range(11))
    assert dataset.file_ending == ".nrrd"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": {"a": True}}, r"labels: class name -> number, found"),
        ({"labels": {"a": []}}, r"labels: class name -> number, found"),
        ({"labels": {"a": 1.5}}, r"labels: class name -> number, found"),
        ({"labels": {"a": 0, "ignore": [1, 2]}}, r"labels: class name -> number, found"),
        (
            {"labels": {"a": 1}},
            r"labels: one of them is 0, the background, found .* add background",
        ),
        ({"labels": {"a": 0}, "channel_names": {"1": "CT"}}, r"channel_names: channel number from"),
        ({"labels": {"a": 0}, "modality": {}}, r"modality: channel number from 0 -> name"),
        (
            {"labels": {"a": 0}, "file_ending": "nii"},
            r"file_ending: such as \.nii\.gz, found",
        ),
        (
            {"labels": {"a": 0, "b": [1, 2], "c": 2}, "regions_class_order": "x"},
            r"regions_class_order: a list of label values, found 'x'",
        ),
        (
            {"labels": {"a": 0, "b": [1, 2], "c": 2}, "regions_class_order": [1, 7]},
            r"regions_class_order: names a value of each region, found 7",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        written(tmp_path, **content).labels_section()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 4) | st.floats() | st.text("0123a.", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("012a", max_size=2), inner),
    max_leaves=6,
)
KEYS = ("labels", "channel_names", "modality", "regions_class_order", "file_ending", "numTraining")
LABELS = st.dictionaries(
    st.sampled_from(["background", "a", "b", "ignore", "0", "1"]),
    st.integers(0, 3) | st.lists(st.integers(0, 3), min_size=1, max_size=3) | st.sampled_from("ab"),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.dictionaries(st.sampled_from(KEYS), VALUES | LABELS))
def test_any_content_is_read_or_refused_in_a_sentence(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    try:
        labels = written(tmp_path, **content).labels_section()
    except InputError as fault:
        assert str(fault).startswith(f"{tmp_path}/dataset.json: ")
        return

    with suppress(ValidationError):  # its rules are tested beside it
        LabelsConfig.model_validate(lists_to_tuples(labels))

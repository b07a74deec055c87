"""Configurations that leave to dataset.json what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vesuv.config import Config, as_config, dump_config, load_config
from vesuv.config.load import load_with_origins
from vesuv.environment import set_nnunet_raw
from vesuv.errors import InputError

LABELS = {"background": 0, "left lung": 1, "Rippe (r)": 2, "ignore": 3}
REGIONS = {"background": 0, "whole": [1, 2], "core": 2}


@pytest.fixture(autouse=True)
def _no_raw_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vesuv.environment._nnunet_raw", None)


def data_set(folder: Path, **content: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": LABELS, **content}))
    return folder


def config_file(folder: Path, root: object, rest: str = "", layout: str = "nnunet") -> Path:
    file = folder / "mine.yaml"
    file.write_text(
        f"data: {{root: {root}, layout: {layout}}}\n"
        f"phases: [{{epochs: [0, null], weights: {{dice: 1.0}}}}]\n{rest}"
    )
    return file


def test_labels_that_are_left_out_are_those_of_dataset_json(tmp_path: Path) -> None:
    data_set(tmp_path / "raw")

    config, origins = load_with_origins(config_file(tmp_path, "raw"))

    assert config.labels.classes == {"background": 0, "left lung": 1, "Rippe (r)": 2}
    assert config.labels.ignore == 3
    assert config.model.out_channels == 3
    file = str(tmp_path / "raw" / "dataset.json")
    assert origins["labels", "classes", "left lung"] == origins["labels", "ignore"] == file
    assert origins["model", "in_channels"] == "default; it follows from the data"
    assert origins["model", "out_channels"] == "follows from labels"


def test_a_recorded_configuration_does_not_need_the_data(tmp_path: Path) -> None:
    data_set(tmp_path / "raw", labels=REGIONS, regions_class_order=[1, 2])
    config = load_config(config_file(tmp_path, "raw"))
    recorded = tmp_path / "config.yaml"
    recorded.write_text(dump_config(config))
    (tmp_path / "raw" / "dataset.json").unlink()

    assert load_config(recorded, paths_from=Path()) == config
    assert config.labels.targets.names == ("whole", "core")


@pytest.mark.parametrize("rest", ["labels:\n", "labels: {}\n", "labels: {ignore: 3}\n"])
def test_keys_that_are_left_out_are_filled_in(tmp_path: Path, rest: str) -> None:
    data_set(tmp_path / "raw")

    assert load_config(config_file(tmp_path, "raw", rest)).labels.num_classes == 3


def test_written_classes_are_not_touched(tmp_path: Path) -> None:
    file = config_file(tmp_path, "nowhere", "labels: {classes: {air: 0, bone: 1}}\n")

    config, origins = load_with_origins(file)

    assert config.labels.classes == {"air": 0, "bone": 1}
    assert config.labels.ignore is None
    assert origins["labels", "classes", "bone"] == str(file)


def test_a_value_to_ignore_can_be_set_beside_the_labels_of_dataset_json(tmp_path: Path) -> None:
    data_set(tmp_path / "raw", labels={"background": 0, "a": 1})

    config, origins = load_with_origins(config_file(tmp_path, "raw"), ["labels.ignore=255"])

    assert config.labels.ignore == 255
    assert origins["labels", "ignore"] == "--set labels.ignore=255"


def test_own_regions_may_be_written_over_the_classes_of_dataset_json(tmp_path: Path) -> None:
    data_set(tmp_path / "raw", labels=REGIONS, regions_class_order=[1, 2])
    regions = "labels: {regions: {all of it: [label 1, core], core: [core]}}\n"

    own = load_config(config_file(tmp_path, "raw", regions)).labels
    none = load_config(config_file(tmp_path, "raw", "labels: {regions: null}\n")).labels

    assert own.targets.names == ("all of it", "core")
    assert none.targets.names == ("label 1", "core")
    assert not none.targets.overlap


def test_regions_of_a_file_replace_those_of_its_base(tmp_path: Path) -> None:
    classes = "{background: 0, a: 1, b: 2}"
    one = f"labels: {{classes: {classes}, regions: {{ab: [a, b], b: [b]}}}}\n"
    config_file(tmp_path, "raw", one).rename(tmp_path / "base.yaml")
    (tmp_path / "own.yaml").write_text(
        "base: base.yaml\nlabels: {regions: {all: [a, b], a: [a]}}\n"
    )

    assert load_config(tmp_path / "own.yaml").labels.targets.names == ("all", "a")


def test_mappings_are_completed_too(tmp_path: Path) -> None:
    tree = {
        "name": "mine",
        "data": {"root": str(data_set(tmp_path / "raw")), "layout": "nnunet"},
        "phases": [{"epochs": [0, None], "weights": {"dice": 1.0}}],
    }

    assert as_config(tree).labels.names == ["background", "left lung", "Rippe (r)"]
    assert "labels" not in tree


def test_a_missing_root_is_named_where_its_labels_are_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.root: .*gone is no folder; name the folder of"):
        load_config(config_file(tmp_path, "gone"))


def test_a_dataset_json_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()

    with pytest.raises(InputError, match=r"raw/dataset\.json: no such file; layout nnunet needs"):
        load_config(config_file(tmp_path, "raw"))


def test_labels_that_cannot_be_used_are_a_fault_of_dataset_json(tmp_path: Path) -> None:
    overlapping = {"background": 0, "small": 1, "large": [1, 2, 3]}
    data_set(tmp_path / "raw", labels=overlapping)

    with pytest.raises(InputError, match=r"raw/dataset\.json: labels: regions_class_order: region"):
        load_config(config_file(tmp_path, "raw"))


def test_other_layouts_need_their_labels_written(tmp_path: Path) -> None:
    data_set(tmp_path / "raw")

    with pytest.raises(InputError, match=r"labels: missing; this key has no default"):
        load_config(config_file(tmp_path, "raw", layout="folders"))


def load_id(tmp_path: Path, root: object, *changes: str) -> Config:
    return load_config(config_file(tmp_path, root), changes)


@pytest.mark.parametrize("name", ["4", "004", "Dataset004", "Dataset004_Hippocampus"])
def test_a_data_set_is_found_by_its_id(tmp_path: Path, name: str) -> None:
    root = data_set(tmp_path / "nn raw" / "Dataset004_Hippocampus")
    data_set(tmp_path / "nn raw" / "Dataset040_Colon")
    set_nnunet_raw(tmp_path / "nn raw")

    assert load_id(tmp_path, name).data.root == str(root)
    assert load_id(tmp_path, "x", f"data.root={name}").data.root == str(root)


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data_set(tmp_path / "raw" / "Dataset004_A")
    set_nnunet_raw(tmp_path / "raw")
    own = data_set(tmp_path / "004")

    assert load_id(tmp_path, "004").data.root == str(own)
    monkeypatch.chdir(tmp_path)
    assert load_id(tmp_path, "x", "data.root=004").data.root == "004"


def test_an_id_of_several_data_sets_is_refused_with_their_names(tmp_path: Path) -> None:
    for name in ("Dataset004_A", "Dataset004_B"):
        data_set(tmp_path / "raw" / name)
    set_nnunet_raw(tmp_path / "raw")

    with pytest.raises(InputError, match=r"root: 4 stands for one .* Dataset004_A, Dataset004_B;"):
        load_id(tmp_path, 4)


def test_an_id_of_no_data_set_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    data_set(tmp_path / "raw" / "Dataset001_Brain")
    set_nnunet_raw(tmp_path / "raw")

    with pytest.raises(
        InputError, match=r"holds no Dataset004_\*, found Dataset001_Brain; correct"
    ):
        load_id(tmp_path, 4)
    with pytest.raises(InputError, match=r"holds no Dataset001_Colon, found Dataset001_Brain"):
        load_id(tmp_path, "Dataset001_Colon")
    set_nnunet_raw(tmp_path / "gone")
    with pytest.raises(InputError, match=r"holds no Dataset004_\*, found no folder"):
        load_id(tmp_path, 4)


def test_an_id_without_the_folder_of_all_data_sets_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"root: 4 is no folder, and .* nnUNet_raw, .* is not set"):
        load_id(tmp_path, 4)

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr

from vesuv.config.data import DataConfig
from vesuv.data.case_files import read_case
from vesuv.data.layouts import find_cases, scan_cases, volume_folders


def write_image(path: Path, array: np.ndarray, scale: list[float]) -> None:
    """Write an OME-Zarr 0.4 image of one level."""
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    group.create_array("0", data=array)
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]


def config(root: Path, labels: str = "cells") -> DataConfig:
    return DataConfig(root=str(root), layout="ome_zarr", labels=labels)


def test_the_label_of_an_image_lies_in_its_group_of_labels(tmp_path: Path) -> None:
    image = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)
    label = (image % 2).astype(np.uint8)
    write_image(tmp_path / "brain.zarr", image, [2.0, 0.5, 0.5])
    write_image(tmp_path / "brain.zarr/labels/cells", label, [2.0, 0.5, 0.5])

    (files,) = find_cases(config(tmp_path / "brain.zarr"))
    case = read_case(files)

    assert case.id == "brain"
    assert np.array_equal(case.image[0], image)
    assert np.array_equal(case.label, label)
    assert (case.spacing, case.unit) == ((2.0, 0.5, 0.5), "µm")


def test_a_folder_holds_an_image_for_each_case(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.zarr", np.zeros((2, 2, 2)), [1.0] * 3)
        write_image(tmp_path / f"{name}.zarr/labels/cells", np.zeros((2, 2, 2)), [1.0] * 3)

    assert [case.id for case in find_cases(config(tmp_path))] == ["a", "b"]
    assert volume_folders(config(tmp_path)) == (tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_a_missing_label_is_a_fault_that_names_those_there(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", np.zeros((2, 2, 2)), [1.0] * 3)
    write_image(tmp_path / "a.zarr/labels/nuclei", np.zeros((2, 2, 2)), [1.0] * 3)

    cases, faults = scan_cases(config(tmp_path))

    assert not cases
    assert faults == [
        f"{tmp_path}/a.zarr/labels/cells: no such label; a.zarr holds nuclei: correct data.labels"
    ]

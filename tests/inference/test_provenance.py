from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vesuv.config.labels import TWO_CLASSES, LabelsConfig
from vesuv.errors import InputError
from vesuv.inference.chosen_mask import ChosenMask
from vesuv.inference.masks import MaskSettings
from vesuv.inference.members import open_members
from vesuv.inference.postprocess.components import KeepLargest
from vesuv.inference.predictor import Predictor
from vesuv.inference.provenance import file_record, predicted_labels, provenance
from vesuv.io.tables import write_json


def test_files_and_folders_are_told_by_digest(make_run, tmp_path: Path) -> None:
    members = open_members([make_run("a").path])
    mask = ChosenMask(MaskSettings.alike(TWO_CLASSES, 0.5, (KeepLargest(),)), "because", "as said")
    (tmp_path / "v.zarr" / "c").mkdir(parents=True)
    (tmp_path / "v.zarr" / "c" / "0").write_bytes(b"12345")
    (tmp_path / "w.npy").write_bytes(b"abc")

    record = provenance(members, Predictor.of_members(members, mask.settings), mask)

    folder, file = (file_record(tmp_path / name) for name in ("v.zarr", "w.npy"))
    content = folder.pop("content")
    assert folder == {"path": (tmp_path / "v.zarr").resolve(), "bytes": 5}
    (tmp_path / "v.zarr" / "c" / "0").write_bytes(b"12346")
    assert file_record(tmp_path / "v.zarr")["content"] != content
    assert record["threshold"] == {"value": 0.5, "why": "because"}
    assert record["postprocess"] == {
        "steps": [{"name": "keep_largest", "num": 1, "connectivity": 26}],
        "why": "as said",
    }
    assert file["sha256"] == hashlib.sha256(b"abc").hexdigest()
    assert {"vesuv", "python"} <= record["software"].keys()


def test_label_values_of_masks_are_read_back(tmp_path: Path) -> None:
    labels = LabelsConfig(classes={"background": 0, "sheet": (1, 3)}, ignore=2)

    assert predicted_labels(tmp_path) is None
    write_json(tmp_path / "provenance.json", {"labels": labels.model_dump(mode="json")})
    assert predicted_labels(tmp_path) == labels


def test_a_damaged_record_of_label_values_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "provenance.json", {"labels": {"classes": {"background": 0}}})

    with pytest.raises(InputError, match=r"provenance\.json: labels: classes needs a background"):
        predicted_labels(tmp_path)

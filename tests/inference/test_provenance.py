from __future__ import annotations

import hashlib
from pathlib import Path

from vesuv.inference.masks import MaskSettings
from vesuv.inference.members import ChosenMask, open_members
from vesuv.inference.postprocess.components import KeepLargest
from vesuv.inference.predictor import Predictor
from vesuv.inference.provenance import provenance


def test_files_are_told_by_digest_and_folders_by_size(make_run, tmp_path: Path) -> None:
    members = open_members([make_run("a").path])
    mask = ChosenMask(MaskSettings(0.5, (KeepLargest(),)), "because", "as said")
    (tmp_path / "v.zarr" / "c").mkdir(parents=True)
    (tmp_path / "v.zarr" / "c" / "0").write_bytes(b"12345")
    (tmp_path / "w.npy").write_bytes(b"abc")

    record = provenance(
        members,
        Predictor.of_members(members, mask.settings),
        mask,
        [("v", (tmp_path / "v.zarr",)), ("w", (tmp_path / "w.npy",))],
    )

    folder, file = (volume["files"][0] for volume in record["inputs"])
    assert folder == {"path": (tmp_path / "v.zarr").resolve(), "bytes": 5}
    assert record["threshold"] == {"value": 0.5, "why": "because"}
    assert record["postprocess"] == {
        "steps": [{"name": "keep_largest", "num": 1, "connectivity": 26}],
        "why": "as said",
    }
    assert file["sha256"] == hashlib.sha256(b"abc").hexdigest()
    assert {"vesuv", "python"} <= record["software"].keys()

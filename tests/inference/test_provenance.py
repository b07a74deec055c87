from __future__ import annotations

import hashlib
from pathlib import Path

from vesuv.config.training import InferenceConfig, RuntimeConfig
from vesuv.inference.masking import Masking
from vesuv.inference.postprocess.components import KeepLargest
from vesuv.inference.predictor import Predictor, open_members
from vesuv.inference.provenance import provenance
from vesuv.runtime.machine import resolve


def test_files_are_told_by_digest_and_folders_by_size(make_run, tmp_path: Path) -> None:
    members = open_members([make_run("a").path], None)
    machine = resolve(RuntimeConfig(device="cpu", precision="float32", threads=1))
    predictor = Predictor([members[0].checkpoint], InferenceConfig(), machine)
    (tmp_path / "v.zarr" / "c").mkdir(parents=True)
    (tmp_path / "v.zarr" / "c" / "0").write_bytes(b"12345")
    (tmp_path / "w.npy").write_bytes(b"abc")

    found = provenance(
        members,
        predictor,
        Masking(0.5, "because", (KeepLargest(),), "as said"),
        [("v", (tmp_path / "v.zarr",)), ("w", (tmp_path / "w.npy",))],
    )

    folder, file = (volume["files"][0] for volume in found["inputs"])
    assert folder == {"path": (tmp_path / "v.zarr").resolve(), "bytes": 5}
    assert found["threshold"] == {"value": 0.5, "why": "because"}
    assert found["postprocess"] == {
        "steps": [{"name": "keep_largest", "num": 1, "connectivity": 26}],
        "why": "as said",
    }
    assert file["sha256"] == hashlib.sha256(b"abc").hexdigest()
    assert found["software"].keys() == {"vesuv", "python", "torch", "monai", "numpy"}

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.known_runs import MakeRun
from vesuv.evaluation.pairs import CaseFiles
from vesuv.inference.predictor import Predictor
from vesuv.io.formats import write
from vesuv.io.formats.zarr_ import multiscales
from vesuv.studies.scores import predictor_of, score_files
from vesuv.types import Spacing


def _write_millimetres(path: Path, array: np.ndarray) -> None:
    """Write an OME-Zarr image with voxels of 2 mm."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    group.create_array("0", data=array)
    scale = {"transforms": [{"type": "scale", "scale": [2.0] * 3}], "whole": []}
    axes = {"names": ["z", "y", "x"], "units": dict.fromkeys("zyx", "millimeter")}
    group.attrs["ome"] = multiscales(3, {**scale, **axes})


def test_a_held_out_image_in_another_unit_is_predicted_in_that_of_training(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {"spacing": {key: [2000.0] * 3 for key in ("low", "median", "high")}, "unit": "µm"}
    run = make_run("a", logits=[9.0], facts={"training_images": images}, data__spacing=[2000.0] * 3)
    _write_millimetres(tmp_path / "a.zarr", np.ones((8, 16, 16), np.uint8))
    write(tmp_path / "a_label.npy", np.ones((8, 16, 16), np.uint8))
    seen: list[Spacing] = []
    classes = Predictor.classes
    monkeypatch.setattr(
        Predictor,
        "classes",
        lambda self, probs, spacing: seen.append(spacing) or classes(self, probs, spacing),
    )
    predictor = predictor_of(run, "best")

    files = CaseFiles("a", tmp_path / "a.zarr", tmp_path / "a_label.npy")
    row = score_files(files, predictor, predictor.config.labels, ("dice",))

    assert row["dice"] == 1.0
    assert seen == [(2000.0, 2000.0, 2000.0)]

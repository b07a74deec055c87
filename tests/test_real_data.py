"""Real volumes, from file to trained network to prediction and back into the file's own space."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from tests.inference.conftest import predict_files
from vesuv.config import Config, check
from vesuv.data.builder import open_or_prepare_store
from vesuv.evaluation.folders import ScoreOptions, score_folders
from vesuv.selection.validation import validate_distribution
from vesuv.training.train import train

REAL = Path(__file__).parent / "data/real"


def configuration(folder: str, store: Path, patch: list[int], **data: Any) -> Config:
    return check(
        {
            "name": folder,
            "data": {"root": str(REAL / folder), "store": str(store), **data},
            "labels": {"classes": {"background": 0, "thing": 1}, "ignore": 2},
            "sampling": {"patch_size": patch},
            "model": {"name": "plain_unet", "filters": 4, "depth": 2},
            "phases": [{"epochs": [0, None], "weights": {"dice": 1.0, "cross_entropy": 1.0}}],
            "train": {"epochs": 2, "steps_per_epoch": 3},
            "validation": {"tiles": 2},
            "runtime": {"device": "cpu", "precision": "float32", "threads": 1},
        },
        folder,
    )


@pytest.mark.slow
def test_a_ct_comes_back_in_its_own_space(tmp_path: Path) -> None:
    config = configuration(
        "nifti_ct",
        tmp_path / "store",
        [16, 32, 32],
        layout="folders",
        images="images",
        labels="labels",
        normalize={"name": "percentile"},
    )

    run = train(config, fold="all", output=tmp_path / "run").path
    predict_files([run], REAL / "nifti_ct/images", tmp_path / "out")

    image = nibabel.load(REAL / "nifti_ct/images/ct.nii.gz")
    mask = nibabel.load(tmp_path / "out/ct.nii.gz")
    assert mask.shape == image.shape
    assert np.array_equal(mask.affine, image.affine)
    assert mask.header.get_zooms() == image.header.get_zooms()
    assert set(np.unique(np.asarray(mask.dataobj))) <= {0, 1}


@pytest.mark.slow
@pytest.mark.parametrize("spacing", [None, [3.0, 1.5, 1.5]], ids=["as it came", "resampled"])
def test_an_anisotropic_mr_comes_back_in_its_own_space(
    tmp_path: Path, spacing: list[float] | None
) -> None:
    config = configuration(
        "nrrd_brain",
        tmp_path / "store",
        [16, 32, 32],
        layout="folders",
        images="images",
        labels="labels",
        spacing=spacing,
    )

    store = open_or_prepare_store(config)
    run = train(config, fold="all", output=tmp_path / "run").path
    predict_files([run], REAL / "nrrd_brain/images", tmp_path / "out")

    [case] = store.cases.values()
    share = case.block_counts[1].sum() / case.block_counts[-1].sum()
    found = 4137 / (25 * 80 * 80)
    assert 0.95 * found <= share <= 1.3 * found, "coarsening keeps a thin lesion, a little thicker"
    image = SimpleITK.ReadImage(REAL / "nrrd_brain/images/brain1.nrrd")
    mask = SimpleITK.ReadImage(tmp_path / "out/brain1.nrrd")
    assert mask.GetSize() == image.GetSize()
    for geometry in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(mask, geometry)() == getattr(image, geometry)()


def test_membranes_go_all_the_way_to_a_score(tmp_path: Path) -> None:
    config = configuration("fib25", tmp_path / "store", [32, 32, 32], folds={"num": 2})

    run = train(config, fold=0, output=tmp_path / "run").path
    chosen = validate_distribution([run]).result.chosen
    predict_files([run], REAL / "fib25/train_images", tmp_path / "out")
    summary = score_folders(
        [tmp_path / "out"],
        REAL / "fib25/train_labels",
        tmp_path / "out",
        ScoreOptions(config.labels),
    ).summary

    assert chosen.checkpoint in ("best", "last")
    assert summary["num_cases"] == 2
    assert set(summary["groups"]) == {"1", "2"}

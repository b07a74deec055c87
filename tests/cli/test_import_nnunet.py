"""import-nnunet, and predict with what it writes."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.cli.conftest import Refused, Run
from tests.inference.nnunet_results import balanced_network, checkpoint, write_results
from vesuv.io.formats import read


@pytest.mark.slow
def test_a_model_of_nnunet_becomes_a_bundle_that_predicts(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = write_results(
        tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres",
        folds={"0": checkpoint(balanced_network())},
    )
    image = np.random.default_rng(0).integers(0, 255, (18, 20, 33)).astype(np.uint8)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", image)
    bundle = tmp_path / "bundle"

    run("import-nnunet", results, "--output", bundle, "--licence", "CC0-1.0")
    run("predict", "--model", bundle, "--input", tmp_path / "in", "--output", tmp_path / "out")

    said = capsys.readouterr().out
    assert "checkpoint_final.pth: epoch 3" in said
    assert (
        "trainer nnUNetTrainer, configuration 3d_fullres" in (bundle / "model_card.md").read_text()
    )
    mask = tifffile.imread(tmp_path / "out/a.tif")
    assert (mask.shape, len(np.unique(mask))) == ((18, 20, 33), 2)
    words = ("--input", tmp_path / "in/a.tif", "--block-size", "16", "--output")
    run("predict", "--model", bundle, *words, tmp_path / "a.zarr")
    assert (read(tmp_path / "a.zarr").array != mask).mean() <= 1e-3


def test_an_existing_bundle_is_replaced_on_request_only(
    run: Run, refused: Refused, tmp_path: Path
) -> None:
    results = write_results(tmp_path / "r")
    run("import-nnunet", results, "--output", tmp_path / "bundle")

    assert "is a bundle already" in refused(
        "import-nnunet", results, "--output", tmp_path / "bundle"
    )
    run("import-nnunet", results, "--output", tmp_path / "bundle", "--overwrite")

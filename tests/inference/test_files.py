from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from monai.inferers import sliding_window_inference

from tests.inference.conftest import network_of, predict_files
from vesuv.config.labels import TWO_CLASSES
from vesuv.config.postprocess import read_chain
from vesuv.errors import InputError, InputErrors
from vesuv.inference.masks import MaskSettings


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two uint8 TIFF volumes, one smaller than the patch."""
    folder = tmp_path / "volumes"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, shape in (("big", (24, 16, 32)), ("small", (5, 20, 9))):
        image = rng.integers(0, 255, shape).astype(np.uint8)
        tifffile.imwrite(folder / f"{name}.tif", image, compression="lzw")
    return folder


def _select(run, threshold: float, **more) -> None:
    content = {"version": 1, "checkpoint": "best", "threshold": threshold, **more}
    (run.path / "selected.json").write_text(json.dumps(content))


def test_probabilities_and_mask_agree_with_monai_on_the_same_network(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    run = make_run("a")
    output = tmp_path / "out"

    predict_files([run.path], volumes, output, threshold=0.5, probabilities=True)

    image = tifffile.imread(volumes / "big.tif").astype(np.float64)
    normal = torch.from_numpy((image - image.mean()) / image.std()).float()[None, None]
    network = network_of(run)
    offset = torch.arange(16) - 7.5
    bell = torch.exp(-0.5 * (offset / 2) ** 2)
    with torch.no_grad():
        expected = sliding_window_inference(
            normal,
            (16, 16, 16),
            1,
            lambda batch: torch.sigmoid(network(batch)),
            overlap=0.5,
            roi_weight_map=1e12 * bell[:, None, None] * bell[:, None] * bell,
        )[0, 0].numpy()
    probs = tifffile.imread(output / "probabilities/big.tif")
    mask = tifffile.imread(output / "big.tif")
    assert probs.dtype == np.float32
    assert np.allclose(probs, expected, atol=1e-5)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, probs >= 0.5)
    assert 0 < mask.mean() < 1
    assert tifffile.imread(output / "small.tif").shape == (5, 20, 9)


def test_masks_hold_the_label_values_of_the_files(make_run, volumes: Path, tmp_path: Path) -> None:
    run = make_run(
        "a",
        logits=[0.0, 1.0, 3.0],
        labels__classes={"air": 7, "one": 3, "two": [40, 41]},
        labels__ignore=None,
        model__out_channels=3,
    )

    predict_files([run.path], volumes, tmp_path / "out")

    assert np.unique(tifffile.imread(tmp_path / "out/big.tif")).tolist() == [40]


def test_the_threshold_is_the_mean_of_the_selected_ones(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    runs = [make_run("a", logits=[0.0]), make_run("b", logits=[0.0])]
    _select(runs[0], 0.30)
    _select(runs[1], 0.50)

    predict_files([run.path for run in runs], volumes, tmp_path / "out")

    found = json.loads((tmp_path / "out/provenance.json").read_text())
    assert found["threshold"] == {
        "value": 0.4,
        "why": "threshold 0.4, the mean of the runs' selected",
    }
    assert tifffile.imread(tmp_path / "out/big.tif").all()  # one half is at least 0.4


def test_a_probability_equal_to_the_threshold_is_foreground(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    run = make_run("a", logits=[0.0])

    # probabilities count in steps of 0.005: a threshold between two of them is the nearest one
    for threshold, share in ((0.5, 1.0), (0.505, 0.0), (0.501, 1.0), (0.504, 0.0)):
        predict_files([run.path], volumes, tmp_path / str(threshold), threshold=threshold)
        assert tifffile.imread(tmp_path / str(threshold) / "big.tif").mean() == share


def test_a_prediction_is_processed_and_says_how(make_run, volumes: Path, tmp_path: Path) -> None:
    run, source = (
        make_run("a", labels__classes={"background": 9, "sheet": 200}),
        volumes / "big.tif",
    )
    predict_files(
        [run.path],
        source,
        tmp_path / "plain",
        probabilities=True,
        postprocess="none",
        threshold=0.5,
    )
    raw = tifffile.imread(tmp_path / "plain/probabilities/big.tif")
    cut = float(np.quantile(raw, 0.9))
    _select(run, cut, postprocess=[{"name": "keep_largest", "num": 1}])

    predict_files([run.path], source, tmp_path / "out")

    expected = MaskSettings.alike(TWO_CLASSES, cut, read_chain([{"name": "keep_largest"}], ""))
    mask = tifffile.imread(tmp_path / "out/big.tif") == 200
    assert np.array_equal(mask, expected.classes(torch.from_numpy(raw)[None]))
    assert 0 < mask.sum() < (raw >= cut).sum()
    plain = json.loads((tmp_path / "plain/provenance.json").read_text())
    assert plain["postprocess"]["why"] == "no post-processing, from the command line"
    record = json.loads((tmp_path / "out/provenance.json").read_text())
    assert record["postprocess"] == {
        "steps": [{"name": "keep_largest", "num": 1, "connectivity": 26}],
        "why": "post-processing: keep_largest, as selected",
    }
    assert record["runs"][0]["postprocess"] == record["postprocess"]["steps"]


def test_each_volume_is_told_with_its_share_of_foreground(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    sentences: list[str] = []

    predict_files(
        [make_run("a", logits=[9.0]).path], volumes, tmp_path / "out", say=sentences.append
    )

    first, second, last = sentences
    assert first.startswith("1/2 big: 100.00% foreground, ")
    assert second.startswith("2/2 small: 100.00% foreground, ")
    assert last == f"written: 2 of 2 masks and provenance.json in {tmp_path / 'out'}"


def test_a_submission_holds_zeros_and_ones_at_its_root(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    run = make_run("a", labels__classes={"background": 9, "sheet": 200})
    target = tmp_path / "deep" / "submission.zip"

    predict_files([run.path], volumes, tmp_path / "out", submission=target)

    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == ["big.tif", "small.tif"]
        archive.extract("big.tif", tmp_path)
    found = tifffile.imread(tmp_path / "big.tif")
    assert found.dtype == np.uint8
    assert np.array_equal(found, tifffile.imread(tmp_path / "out/big.tif") == 200)
    assert [path.name for path in target.parent.iterdir()] == ["submission.zip"]


def test_a_bad_volume_is_passed_over_and_named_at_the_end(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    content = (volumes / "big.tif").read_bytes()
    (volumes / "cut.tif").write_bytes(content[: len(content) // 2])
    np.save(volumes / "nan.npy", np.full((16, 16, 16), np.nan, dtype=np.float32))
    output, target = tmp_path / "out", tmp_path / "submission.zip"

    with pytest.raises(InputErrors) as caught:
        predict_files([make_run("a").path], volumes, output, submission=target)

    first, second, third = caught.value.faults
    assert "cut.tif" in first
    assert "nan.npy: an image holds finite values" in second
    assert third == f"--submission: {target} not written, volumes are missing"
    assert not target.exists()
    assert sorted(path.name for path in output.glob("*.tif")) == ["big.tif", "small.tif"]
    provenance = json.loads((output / "provenance.json").read_text())
    assert [volume["id"] for volume in provenance["inputs"]] == ["big", "small"]


def test_every_setting_is_written_down(make_run, volumes: Path, tmp_path: Path) -> None:
    run = make_run("a")
    changes = ("inference.mirror=true", "inference.overlap=0.25")

    predict_files([run.path], volumes / "big.tif", tmp_path / "out", threshold=0.6, changes=changes)

    found = json.loads((tmp_path / "out/provenance.json").read_text())
    assert found["version"] == 1
    assert found["runs"][0]["run"] == str(run.path.resolve())
    assert found["runs"][0]["checkpoint"] == "best"
    assert len(found["runs"][0]["checkpoint_sha256"]) == 64
    assert found["runs"][0]["patch_size"] == [16, 16, 16]
    assert found["inference"] == {
        "overlap": 0.25,
        "batch_size": 1,
        "views": "mirror",
        "average": "probabilities",
        "window": "gaussian",
        "precision": "float32",
        "device": "cpu",
    }
    assert found["threshold"]["value"] == 0.6
    (volume,) = found["inputs"]
    assert volume["id"] == "big"
    assert volume["files"][0]["bytes"] == (volumes / "big.tif").stat().st_size


def test_inputs_and_foreign_volumes_are_never_written_over(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    run = make_run("a").path
    labels = tmp_path / "labels"
    labels.mkdir()
    np.save(labels / "big.npy", np.zeros((2, 2, 2)))

    with pytest.raises(InputError, match=r"--output: .*volumes holds the inputs"):
        predict_files([run], volumes, volumes)
    with pytest.raises(InputError, match=r"--output: .*volumes holds the inputs"):
        predict_files([run], volumes / "big.tif", volumes)
    with pytest.raises(InputError, match=r"labels holds volumes that were not predicted"):
        predict_files([run], volumes, labels)
    with pytest.raises(InputError, match=r"big\.tif is a file; name a folder"):
        predict_files([run], volumes, volumes / "big.tif")
    with pytest.raises(InputError, match=r"found the file name \S+mask\.nii\.gz; name a folder"):
        predict_files([run], volumes, tmp_path / "mask.nii.gz")


def test_another_number_of_channels_than_in_training_is_refused(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    run = make_run("a", model__in_channels=2)

    with pytest.raises(InputErrors, match=r"big\.tif: .* trained on 2 channels, found 1") as caught:
        predict_files([run.path], volumes, tmp_path / "out")

    assert len(caught.value.faults) == 2


def test_thresholds_that_mean_nothing_are_refused(make_run, volumes: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--threshold: must be from 0 to 1, found 1\.5"):
        predict_files([make_run("a").path], volumes, tmp_path / "out", threshold=1.5)
    with pytest.raises(InputError, match=r"probabilities are cut in steps of 0\.005; give"):
        predict_files([make_run("b").path], volumes, tmp_path / "out", threshold=0.001)


def test_a_threshold_of_two_channels_is_that_of_foreground(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    run = make_run("b", model__out_channels=2, logits=[0.0, 1.0]).path  # 0.73 of foreground

    for threshold, share in ((0.7, 1.0), (0.75, 0.0)):
        predict_files([run], volumes, tmp_path / str(threshold), threshold=threshold)
        assert tifffile.imread(tmp_path / str(threshold) / "big.tif").mean() == share


def test_a_place_for_the_submission_that_cannot_be_written_is_named(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    target = volumes / "big.tif" / "submission.zip"

    with pytest.raises(InputError, match=r"submission\.zip: cannot be written"):
        predict_files([make_run("a").path], volumes, tmp_path / "out", submission=target)


def test_masks_are_the_same_bytes_with_calibrated_probabilities_and_uncertainty(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    runs = [make_run(name, seed=seed) for seed, name in enumerate("ab")]
    for run in runs:
        _select(run, threshold=0.45, calibration={"temperature": 3.0})
    paths = [run.path for run in runs]

    predict_files(paths, volumes, tmp_path / "plain", probabilities=True)
    predict_files(
        paths, volumes, tmp_path / "more", probabilities=True, calibrated=True, uncertainty=True
    )

    for name in ("big.tif", "small.tif"):
        plain, more = (tmp_path / folder for folder in ("plain", "more"))
        assert (plain / name).read_bytes() == (more / name).read_bytes()
        probs, calibrated = (
            tifffile.imread(folder / "probabilities" / name) for folder in (plain, more)
        )
        steps = (np.floor(probs * np.float32(200)) + 0.5) / 200
        expected = 1 / (1 + (1 / steps - 1) ** (1 / 3))
        assert calibrated.dtype == np.float32
        assert np.allclose(calibrated, expected, atol=1e-6)
        # some voxels would change sides
        assert ((calibrated >= 0.45) != (probs >= 0.45)).any()
        uncertainty = tifffile.imread(more / "uncertainty" / name)
        assert (uncertainty.dtype, uncertainty.shape) == (np.float32, probs.shape)
        assert uncertainty.max() > 0.0


def test_masks_of_other_weights_are_not_replaced(make_run, volumes: Path, tmp_path: Path) -> None:
    paths = [make_run(name, seed=seed).path for seed, name in enumerate("ab")]

    predict_files(paths, volumes, tmp_path / "out", weights=[2, 1])

    with pytest.raises(InputError, match="predicted with other weights"):
        predict_files(paths, volumes, tmp_path / "out")
    with pytest.raises(InputError, match="predicted with uncertainty False, now True"):
        predict_files(paths, volumes, tmp_path / "out", weights=[2, 1], uncertainty=True)


def test_a_folder_of_uncertainty_alone_is_no_place_for_masks(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    (tmp_path / "out/uncertainty").mkdir(parents=True)
    np.save(tmp_path / "out/uncertainty/big.npy", np.zeros((2, 2, 2)))

    with pytest.raises(InputError, match="holds volumes that were not predicted by vesuv"):
        predict_files([make_run("a").path], volumes, tmp_path / "out")

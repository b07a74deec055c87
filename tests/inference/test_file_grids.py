"""Volumes on disk keep their own grid, whatever their format and the networks' spacing."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
import zarr
from scipy import ndimage

from tests.inference.conftest import network_of, predict_files
from vesuv.errors import InputErrors


def test_nifti_keeps_affine_spacing_and_shape(make_run, tmp_path: Path) -> None:
    affine = np.array([[0, -0.7, 0.1, 5], [0.8, 0, 0, -3], [0, 0.1, 2.5, 9], [0, 0, 0, 1.0]])
    image = np.random.default_rng(0).normal(100, 20, (18, 12, 7)).astype(np.float32)
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(image, affine), tmp_path / "in/ct.nii.gz")

    predict_files([make_run("a").path], tmp_path / "in", tmp_path / "out", probabilities=True)

    source = nibabel.load(tmp_path / "in/ct.nii.gz")
    for name in ("ct.nii.gz", "probabilities/ct.nii.gz"):
        found = nibabel.load(tmp_path / "out" / name)
        assert found.shape == source.shape
        assert np.array_equal(found.affine, source.affine)
        assert found.header.get_zooms() == source.header.get_zooms()


def test_nrrd_keeps_direction_origin_and_spacing(make_run, tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(
        np.random.default_rng(0).integers(-500, 900, (6, 18, 17)).astype(np.int16)
    )
    image.SetSpacing((0.5, 0.6, 3.0))
    image.SetOrigin((-10.0, 4.0, 7.5))
    image.SetDirection((0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    (tmp_path / "in").mkdir()
    SimpleITK.WriteImage(image, str(tmp_path / "in/brain.nrrd"))

    predict_files([make_run("a").path], tmp_path / "in/brain.nrrd", tmp_path / "out")

    found = SimpleITK.ReadImage(str(tmp_path / "out/brain.nrrd"))
    assert found.GetSize() == image.GetSize()
    assert found.GetSpacing() == pytest.approx(image.GetSpacing())
    assert found.GetOrigin() == pytest.approx(image.GetOrigin())
    assert found.GetDirection() == pytest.approx(image.GetDirection())


def test_zarr_volumes_are_predicted_too(make_run, tmp_path: Path) -> None:
    zarr.save_array(tmp_path / "in" / "block.zarr", np.ones((9, 17, 16), dtype=np.uint16))

    predict_files([make_run("a", logits=[9.0]).path], tmp_path / "in", tmp_path / "out")

    mask = zarr.open(tmp_path / "out/block.zarr", mode="r")
    assert mask.shape == (9, 17, 16)
    assert mask[:].all()


def _halved(volume: np.ndarray) -> np.ndarray:
    """Every edge halved by Keys' cubic of twice the width, with edges repeated, in float64."""
    near = [1.5 * d**3 - 2.5 * d**2 + 1 for d in (0.25, 0.75)]
    far = [-0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 for d in (1.25, 1.75)]
    taps = np.array([*far[::-1], *near[::-1], *near, *far])
    for axis in range(3):
        padded = np.pad(volume, [(3, 3) if a == axis else (0, 0) for a in range(3)], mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 8, axis=axis)
        volume = (windows @ (taps / taps.sum())).take(range(0, volume.shape[axis], 2), axis)
    return volume


def test_a_run_at_another_spacing_answers_on_the_input_grid(make_run, tmp_path: Path) -> None:
    # noise, so that the coarse volume varies much less than the file: statistics come after it
    image = np.random.default_rng(0).normal(100, 28, (32, 32, 32)).astype(np.float32)
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(image.T, np.eye(4)), tmp_path / "in/a.nii.gz")
    model = {"name": "segresnet", "filters": 8, "blocks_down": [1, 1], "blocks_up": [1]}
    run = make_run("a", data__spacing=[2.0, 2.0, 2.0], model=model)

    predict_files([run.path], tmp_path / "in", tmp_path / "out", probabilities=True)

    coarse = _halved(image.astype(np.float64))
    assert coarse.std() < 0.6 * image.std()
    network = network_of(run)

    def probabilities(mean: float, std: float) -> np.ndarray:
        normal = torch.from_numpy((coarse - mean) / std).float()
        with torch.no_grad():
            probs = torch.sigmoid(network(normal[None, None]))[0, 0].numpy()
        return ndimage.zoom(probs, 2, order=1, grid_mode=True, mode="nearest")

    written = np.asarray(nibabel.load(tmp_path / "out/probabilities/a.nii.gz").dataobj).T
    assert written.shape == (32, 32, 32)
    assert np.abs(written - probabilities(coarse.mean(), coarse.std())).max() < 1e-4
    assert np.abs(written - probabilities(image.mean(), image.std())).max() > 0.01


def test_channels_in_files_of_their_own_are_one_case(make_run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    channels = rng.normal(0, 1, (2, 16, 16, 16)).astype(np.float32)
    for folder in ("in", "other"):
        (tmp_path / folder).mkdir()
    for number, channel in enumerate(channels):
        np.save(tmp_path / f"in/c_000{number}.npy", channel)
    np.save(tmp_path / "other/c_0000.npy", channels[0])
    np.save(tmp_path / "other/c_0001.npy", channels[1, :-1])
    run = make_run("a", model__in_channels=2)

    predict_files([run.path], tmp_path / "in", tmp_path / "out", probabilities=True)

    mean, std = (getattr(channels, name)((1, 2, 3), keepdims=True) for name in ("mean", "std"))
    with torch.no_grad():
        expected = torch.sigmoid(network_of(run)(torch.from_numpy((channels - mean) / std)[None]))
    written = np.load(tmp_path / "out/probabilities/c.npy")
    assert np.abs(written - expected[0, 0].numpy()).max() < 1e-5
    with pytest.raises(InputErrors, match=r"c_0001\.npy: .* found channel \(15, 16, 16\) and"):
        predict_files([run.path], tmp_path / "other", tmp_path / "other_out")

"""predict for volumes of any size."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import zarr

from tests.cli.conftest import Refused, Run
from vesuv.io.formats import read

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 33, 21)).astype(np.uint8)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in/a.tif", IMAGE)
    return tmp_path / "in/a.tif"


def test_a_zarr_holds_the_mask_that_a_folder_holds(
    make_run, volume: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("predict", "--run", make_run("a").path, "--input", volume, "--block-size", 16)
    run(*words, "--output", tmp_path / "out")
    expected = tifffile.imread(tmp_path / "out/a.tif")
    capsys.readouterr()

    run(*words, "--output", tmp_path / "p.zarr", "--probabilities")

    assert 0 < expected.mean() < 1
    assert np.array_equal(read(tmp_path / "p.zarr").array, expected)
    lines = capsys.readouterr().out.splitlines()
    assert any(re.fullmatch(r"intensities \(mean ± .*, from the whole volume", x) for x in lines)
    assert any(
        re.match(r"a: 18 blocks, \d+ windows, 0 more without data skipped", x) for x in lines
    )
    assert lines[-1] == f"written: {tmp_path / 'p.zarr'}"
    run(*words, "--output", tmp_path / "p.zarr", "--probabilities", "--resume")
    assert f"{tmp_path / 'p.zarr'} was predicted before; left as it is" in capsys.readouterr().out


def test_a_level_of_the_pyramids_in_a_folder_is_predicted(
    make_run, tmp_path: Path, run: Run, refused: Refused
) -> None:
    coarse = IMAGE[::2, ::2, ::2]
    group = zarr.open_group(str(tmp_path / "in/a.zarr"), mode="w")
    for name, voxels in (("fine", IMAGE), ("coarse", coarse)):
        group.create_array(name, data=voxels)
    datasets = [
        {"path": name, "coordinateTransformations": [{"type": "scale", "scale": [edge] * 3}]}
        for name, edge in (("fine", 0.5), ("coarse", 1.0))
    ]
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": datasets}]}
    tifffile.imwrite(tmp_path / "coarse.tif", coarse)
    words = ("predict", "--run", make_run("a").path, "--input")
    run(*words, tmp_path / "coarse.tif", "--output", tmp_path / "out")

    whole, in_blocks = tmp_path / "whole", tmp_path / "in_blocks"
    for output, options in ((whole, ()), (in_blocks, ("--blocks", "--block-size", 16))):
        run(*words, tmp_path / "in", "--output", output, "--level", 1, *options)

        mask = read(output / "a.zarr")
        assert np.array_equal(mask.array, tifffile.imread(tmp_path / "out/coarse.tif"))
        assert mask.spacing == (1.0, 1.0, 1.0)
    again = refused(*words, tmp_path / "in", "--output", whole)
    assert "predicted from an input that has changed since" in again


@pytest.mark.parametrize(("shift", "is_told"), [(0.0, False), (3.0, True)])
def test_a_zarr_tells_that_it_loses_the_place_of_a_file(
    make_run, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str],
    shift: float, is_told: bool,
) -> None:  # fmt: skip
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[2, 3] = shift
    nibabel.save(nibabel.Nifti1Image(IMAGE[:16, :16, :16], affine), tmp_path / "a.nii")

    run("predict", "--run", make_run("a").path, "--input", tmp_path / "a.nii", "--output",
        tmp_path / "p.zarr", "--block-size", 16)  # fmt: skip

    said = " ".join(capsys.readouterr().out.split())
    assert ("a.nii states a place in space, OME-Zarr has none: the mask keeps" in said) is is_told


@pytest.mark.parametrize("name", ["a.tif", "a.nii", "a.nii.gz", "a.npy"])
def test_blocks_of_files_give_the_same_files(make_run, tmp_path: Path, run: Run, name: str) -> None:
    (tmp_path / "in").mkdir()
    if ".nii" in name:
        image = nibabel.Nifti1Image(IMAGE.T, np.diag([0.5, 0.5, 2.0, 1.0]))
        nibabel.save(image, tmp_path / "in" / name)
    elif name == "a.npy":
        np.save(tmp_path / "in" / name, IMAGE)
    else:
        tifffile.imwrite(tmp_path / "in" / name, IMAGE)
    words = ("predict", "--run", make_run("a").path, "--input", tmp_path / "in", "--probabilities")

    run(*words, "--output", tmp_path / "whole")
    run(*words, "--output", tmp_path / "blocks", "--blocks", "--block-size", 16)

    whole, blocks = (read(tmp_path / folder / name) for folder in ("whole", "blocks"))
    assert np.array_equal(whole.array, blocks.array)
    assert whole.spacing == blocks.spacing
    whole, blocks = (
        read(tmp_path / folder / "probabilities" / name) for folder in ("whole", "blocks")
    )
    assert np.abs(whole.array - blocks.array).max() <= 0.0026  # half a step of 1/200
    assert sorted(path.name for path in (tmp_path / "blocks").iterdir()) == sorted(
        [name, "probabilities", "provenance.json"]
    )


@pytest.mark.slow
def test_uncertainty_of_blocks_is_written_planned_and_repeated(
    make_run, volume: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("predict", "--run", make_run("a").path, "--input", volume, "--views", "mirror")
    words += ("--uncertainty", "--block-size", 32)
    run(*words, "--output", tmp_path / "whole")
    run(*words, "--output", tmp_path / "blocks", "--blocks")
    capsys.readouterr()
    run(*words, "--output", tmp_path / "p.zarr", "--dry-run", "--plan")
    assert "55.4 kB to write" in capsys.readouterr().out  # 2 x 40 x 33 x 21
    run(*words, "--output", tmp_path / "p.zarr")

    recorded = ("--from", tmp_path / "p.zarr/provenance.json", "--input", volume)
    run("predict", *recorded, "--output", tmp_path / "q.zarr")

    whole, blocks = (
        read(tmp_path / folder / "uncertainty/a.tif").array for folder in ("whole", "blocks")
    )
    assert blocks.dtype == np.float32
    assert np.abs(whole - blocks).max() <= 0.0021  # half a step of 1/255
    steps, again = (read(tmp_path / name / "uncertainty").array for name in ("p.zarr", "q.zarr"))
    assert np.array_equal(steps, again) and np.array_equal(steps, np.rint(blocks * 255))


def test_large_volumes_are_predicted_in_blocks(
    make_run, volume: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("vesuv.inference.blocks.source.LARGE_VOXELS", IMAGE.size - 1)

    run("predict", "--run", make_run("a").path, "--input", volume, "--output", tmp_path / "out")

    assert re.search(r"1/1 a: [\d.]+ s, in blocks", capsys.readouterr().out)


@pytest.mark.slow
def test_a_dry_run_plans_a_virtual_volume_of_4096_voxels(
    make_run, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    import zarr

    zarr.create_array(
        str(tmp_path / "big.zarr"), shape=(4096,) * 3, chunks=(128,) * 3, dtype=np.uint8
    )
    words = ("predict", "--run", make_run("a").path, "--input", tmp_path / "big.zarr")

    run(*words, "--output", tmp_path / "p.zarr", "--dry-run", "--plan", "--block-size", 256)

    text = capsys.readouterr().out
    assert "would read" in text and f"would write: {tmp_path / 'p.zarr'}: 4096 blocks" in text
    assert "blocks: 4096, of 256³ voxels" in text
    assert re.search(r"bytes: 1\d\d GB to read, 68.7 GB to write", text)
    assert re.search(r"hours on this machine: \d+\.\d\d \(computing", text)
    assert not (tmp_path / "p.zarr").exists()


def test_options_that_do_not_fit_are_sentences(
    make_run, volume: Path, tmp_path: Path, refused: Refused
) -> None:
    words = ("predict", "--run", make_run("a").path, "--input", volume, "--output")
    folder, image = tmp_path / "out", tmp_path / "p.zarr"

    for options, sentence in {
        (folder, "--part", "1/2"): "--part: is for an output in Zarr",
        (folder, "--level", "1"): "--level: only OME-Zarr images have levels, found 1",
        (folder, "--engine", "ray"): "--engine: is for an output in Zarr",
        (folder, "--plan"): "--plan: is for an output in Zarr",
        (image, "--plan"): "--plan: says what a prediction takes without running it",
        (image, "--part", "3/2"): "--part: must be i/n with i from 1 to n, found '3/2'",
        (image, "--block-size", "100"): "--block-size: must be a multiple of 16, found 100",
        (image, "--resume"): "was not begun; leave --resume out",
        (image, "--resume", "--overwrite"): "--resume: goes on with an output",
        (image, "--level", "1"): "--level: only OME-Zarr images have levels, found 1",
        (image, "--submission", "s.zip"): "--submission: is not written block by block",
        (image, "--workers", "0"): "--workers: must be at least 1",
    }.items():
        assert sentence in refused(*words, *options), options
    assert "must end in .zarr for the address" in refused(
        *words[:3], "--input", "s3://scrolls/a.zarr", "--output", folder
    )
    tifffile.imwrite(volume.parent / "b.tif", IMAGE)
    both = (*words[:3], "--input", volume.parent, "--output")
    assert "is one image, found 2 volumes" in refused(*both, image)
    assert refused(*both, folder, "--block-size", "100").startswith("error: --block-size: must be")
    assert not list(folder.glob("*.tif")) and not image.exists()


@pytest.mark.slow
def test_parts_go_on_with_each_other(
    make_run, volume: Path, tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("predict", "--run", make_run("a").path, "--input", volume, "--block-size", 16)
    run(*words, "--output", tmp_path / "one.zarr")

    run(*words, "--output", tmp_path / "p.zarr", "--part", "2/2")
    assert "9 of 18 blocks belong to parts that are not finished" in capsys.readouterr().out
    run(*words, "--output", tmp_path / "p.zarr", "--part", "1/2")

    assert np.array_equal(read(tmp_path / "p.zarr").array, read(tmp_path / "one.zarr").array)
    record = json.loads((tmp_path / "p.zarr/provenance.json").read_text())
    assert record["blocks"] == {"size": 16, "shard": 16, "chunk": 16, "statistics": "full"}
    assert record["input"]["files"][0]["name"] == "a.tif"

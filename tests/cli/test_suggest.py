"""From a trained run to suggested cubes, and from painted cubes to the next run."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import tifffile

from tests.cli.conftest import Refused, Run
from tests.conftest import tiny_tree
from tests.known_runs import MakeRun
from vesuv import Config, load_config
from vesuv.config.text import dump_yaml
from vesuv.data.cubes import read_cubes_record
from vesuv.inference.bundle import open_bundles
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.suggestion.files import FileSuggestion, ScoredVolume
from vesuv.io.formats import Volume, read, write
from vesuv.runs.folder import RunFolder

PARTS = ("images", "labels")
SMALL = {"inference": {"views": "mirror"}, "sampling__patch_size": [8, 8, 8]}


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two unlabelled volumes of noise."""
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    for name in "ab":
        rng = np.random.default_rng(ord(name))
        tifffile.imwrite(folder / f"{name}.tif", rng.integers(0, 255, (20, 18, 16), np.uint8))
    return folder


def _table(folder: Path) -> list[dict[str, str]]:
    with (folder / "suggestions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _region(row: dict[str, str]) -> tuple[slice, ...]:
    return tuple(slice(int(row[f"start_{a}"]), int(row[f"stop_{a}"])) for a in "zyx")


@pytest.mark.slow
def test_suggested_cubes_are_painted_and_trained_with_the_old_data(
    tiny_data: Path, volumes: Path, tmp_path: Path, run: Run, refused: Refused,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    tree = tiny_tree(tiny_data, tmp_path / "store/tiny") | {"inference": {"views": "mirror"}}
    tree["train"] = {"epochs": 1, "steps_per_epoch": 2}
    (tmp_path / "tiny.yaml").write_text(dump_yaml(tree))
    run("train", "--config", "tiny.yaml", "--fold", "0", "--output", "log/tiny/fold_0")
    words = ("suggest", "--run", "log/tiny/fold_0", "--number", "3", "--size", "8")

    run(*words, "--input", volumes, "--output", "round_1")

    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "written: 3 cubes in round_1"
    command = shlex.split(lines[-1].removeprefix("paint round_1/labels, then: "))
    assert command == shlex.split(
        "vesuv train --config round_1/train.yaml --fold 0 --pretrained log/tiny/fold_0"
    )
    rows = _table(tmp_path / "round_1")
    assert len(rows) == 3
    assert [float(row["score_bits"]) for row in rows] == sorted(
        (float(row["score_bits"]) for row in rows), reverse=True
    )
    for number, row in enumerate(rows):
        source = tifffile.imread(volumes / f"{row['volume']}.tif")[_region(row)]
        assert np.array_equal(tifffile.imread(tmp_path / f"round_1/images/{row['id']}.tif"), source)
        label_file = tmp_path / f"round_1/labels/{row['id']}.tif"
        label = tifffile.imread(label_file)
        assert label.shape == (8, 8, 8) and (label == 2).all()
        if number:  # the first stays as it is, of the others the half is painted
            label[:4] = source[:4] > 128
            tifffile.imwrite(label_file, label)

    run(*command[1:])

    printed = capsys.readouterr().out
    assert "without a labelled voxel, which train nothing: 1 of 3, first " in printed
    assert "26 of 26 tensors from log/tiny/fold_0" in printed
    second = RunFolder(tmp_path / "log/round_1/fold_0")
    former = RunFolder(tmp_path / "log/tiny/fold_0")
    cubes = {row["id"] for row in rows}
    assert set(second.facts.train_cases) == set(former.facts.train_cases) | cubes
    assert second.facts.validation_cases == former.facts.validation_cases
    assert second.config.data.cubes == (str(tmp_path / "round_1"),)
    run(*command[1:], "--resume", "--set", "train.epochs=2")
    run("export", "--run", "log/round_1/fold_0", "--output", "bundle")
    (member,) = open_bundles([tmp_path / "bundle"])
    assert member.checkpoint.config.data.cubes == ()  # a path of this computer

    # The next round takes other places, and its configuration names both folders.
    run("suggest", "--run", "log/round_1/fold_0", "--number", "9", "--size", "8",
        "--input", volumes, "--output", "round_2")  # fmt: skip
    config = load_config("round_2/train.yaml")
    assert config.data.cubes == (str(tmp_path / "round_1"), "round_2")
    taken = {name: np.zeros((20, 18, 16), int) for name in "ab"}
    for row in [*rows, *_table(tmp_path / "round_2")]:
        taken[row["volume"]][_region(row)] += 1
    assert all(one.max() == 1 for one in taken.values())
    assert sum(one.sum() for one in taken.values()) == 12 * 8**3

    # Labels of a former round are not written over.
    said = refused(*words, "--input", volumes, "--output", "round_1")
    rule = "round_1 exists, and painted labels are never replaced; name a new folder"
    assert said == f"error: --output: {rule}\n"


def test_without_input_the_unlabelled_parts_of_the_training_cases_are_searched(
    tiny_data: Path, make_run: MakeRun, tmp_path: Path, run: Run
) -> None:
    """In the tiny data a corner of 10 x 10 x 32 voxels is ignored, and all else is labelled."""
    facts = {"train_cases": ["c0", "c2"]}
    large = SMALL | {"sampling__patch_size": [16, 16, 16]}
    folder = make_run("a", facts=facts, data={"root": str(tiny_data)}, **large)
    words = ("--output", tmp_path / "out", "--number", 4, "--size", 8)

    run("suggest", "--run", folder.path, *words)

    rows = _table(tmp_path / "out")
    assert {row["volume"] for row in rows} == {"c0", "c2"}
    for row in rows:
        whole = tifffile.imread(tiny_data / f"train_labels/{row['volume']}.tif")
        label = tifffile.imread(tmp_path / f"out/labels/{row['id']}.tif")
        assert np.array_equal(label, whole[_region(row)]) and (label == 2).any()


def test_headers_move_with_the_cubes_and_channels_stay_together(
    make_run: MakeRun, tmp_path: Path, run: Run
) -> None:
    library: Any = nibabel
    sitk: Any = SimpleITK
    image = np.random.default_rng(0).integers(0, 255, (16, 16, 16)).astype(np.int16)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (5.0, 6.0, 7.0)
    library.save(library.Nifti1Image(image.T, affine), tmp_path / "one/n.nii.gz")
    for channel in (0, 1):
        nrrd = sitk.GetImageFromArray(image + channel)
        nrrd.SetOrigin((5.0, 6.0, 7.0))
        sitk.WriteImage(nrrd, str(tmp_path / f"two/m_000{channel}.nrrd"))
    one = make_run("a", **SMALL)
    two = make_run("b", model__in_channels=2, **SMALL)

    for folder, source in ((one, "one"), (two, "two")):
        run("suggest", "--run", folder.path, "--input", tmp_path / source,
            "--output", tmp_path / f"{source}_out", "--number", 2)  # fmt: skip

    for row in _table(tmp_path / "one_out"):
        cube = library.load(tmp_path / f"one_out/images/{row['id']}.nii.gz")
        start = [int(row[f"start_{axis}"]) for axis in "xyz"]
        np.testing.assert_allclose(cube.affine @ (0, 0, 0, 1), affine @ (*start, 1))
        label = library.load(tmp_path / f"one_out/labels/{row['id']}.nii.gz")
        assert np.array_equal(label.affine, cube.affine) and (label.get_fdata() == 2).all()
    for row in _table(tmp_path / "two_out"):
        cube = read(tmp_path / f"two_out/images/{row['id']}.nrrd")
        assert np.array_equal(cube.array, [image[_region(row)], image[_region(row)] + 1])
        label = read(tmp_path / f"two_out/labels/{row['id']}.nrrd")
        assert label.array.shape == (8, 8, 8)
        assert label.origin == cube.origin
        start = [int(row[f"start_{axis}"]) for axis in "zyx"]
        assert cube.origin == (7.0 + start[0], 6.0 + start[1], 5.0 + start[2])


def test_a_run_without_a_value_to_ignore_gets_one_for_the_cubes(
    make_run: MakeRun, volumes: Path, tmp_path: Path, run: Run, refused: Refused
) -> None:
    folder = make_run("a", labels={"classes": {"background": 0, "sheet": [1, 4]}}, **SMALL)
    words = ("suggest", "--run", folder.path, "--output", tmp_path / "out", "--number", 1)

    assert "has no labels.ignore, so that all voxels of its data are labelled" in refused(*words)
    run(*words, "--input", volumes)

    config: Config = load_config(tmp_path / "out/train.yaml")
    assert config.labels.ignore == 5
    (row,) = _table(tmp_path / "out")
    assert (tifffile.imread(tmp_path / f"out/labels/{row['id']}.tif") == 5).all()


def test_a_bundle_suggests_cubes_without_a_configuration(
    make_run: MakeRun, volumes: Path, tmp_path: Path, run: Run, refused: Refused,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = make_run("a", **SMALL)
    run("export", "--run", folder.path, "--output", tmp_path / "bundle")
    words = ("suggest", "--model", tmp_path / "bundle", "--output", tmp_path / "out", "--size", 8)

    assert "--input: bundles do not name their data; give volumes" in refused(*words)
    run(*words, "--input", volumes, "--number", 2)

    assert f"--set 'data.cubes=[{tmp_path / 'out'}]'" in capsys.readouterr().out.replace("\n", "")
    assert not (tmp_path / "out/train.yaml").exists()
    record = json.loads((tmp_path / "out/suggestions.json").read_text())
    assert len(record["cubes"]) == 2


def test_one_network_without_views_is_opened_once_and_compared_with_its_mirrored_views(
    make_run: MakeRun, volumes: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    opened = []
    load = TrainedNetwork.from_checkpoint
    monkeypatch.setattr(
        TrainedNetwork, "from_checkpoint", lambda *words: opened.append(words) or load(*words)
    )
    words = ("suggest", "--input", volumes, "--number", 2, "--size", 8, "--run", make_run("b").path)

    run(*words, "--output", tmp_path / "out")

    assert "its mirrored views are compared" in capsys.readouterr().out
    assert len(opened) == 1
    run(*words, "--output", tmp_path / "blocks", "--views", "mirror", "--blocks",
        "--block-size", 16)  # fmt: skip
    rows = _table(tmp_path / "out")
    assert _table(tmp_path / "blocks") == rows and float(rows[0]["score_bits"]) > 0


def test_what_cannot_be_suggested_is_one_sentence_and_writes_nothing(
    make_run: MakeRun, volumes: Path, tmp_path: Path, refused: Refused
) -> None:
    folder, plain = make_run("a", **SMALL), make_run("b")
    words = ("suggest", "--input", volumes, "--output", tmp_path / "out", "--run")

    said = {
        "many": refused(*words, folder.path, "--number", 17),
        "large": refused(*words, folder.path, "--size", 19),
        "alone": refused(*words, plain.path, "--number", 1, "--size", 8, "--views", "none"),
        "edges": refused(*words, folder.path, "--size", 8, 8),
        "none": refused(*words, folder.path, "--number", 0),
        "blocks": refused(*words, folder.path, "--number", 2, "--block-size", 17),
    }

    assert said["many"].startswith("error: --number: the volumes have room for 16 cubes of 8x8x8")
    assert said["large"].startswith("error: --size: no volume holds a cube of 19x19x19 voxels, a")
    assert "one network with inference.views=none; set it to mirror" in said["alone"]
    assert said["edges"].startswith("error: --size: is one edge or three (z, y, x) in voxels")
    assert "number" in said["none"]
    assert said["blocks"].startswith("error: --block-size: must be a multiple of 16, found 17")
    assert all(one.count("\n") == 1 for one in said.values())
    assert not (tmp_path / "out").exists()


def test_volumes_smaller_than_a_cube_are_left_out_and_damaged_ones_named(
    make_run: MakeRun, volumes: Path, tmp_path: Path, run: Run, refused: Refused,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    tifffile.imwrite(volumes / "c.tif", np.zeros((5, 18, 16), np.uint8))
    folder = make_run("a", **SMALL)
    words = ("suggest", "--run", folder.path, "--input", volumes, "--number", 2, "--output")

    run(*words, tmp_path / "out")
    assert "left out, smaller than a cube: 1 of 3 volumes" in capsys.readouterr().out
    tifffile.imwrite(volumes / "a.tif", np.full((20, 18, 16), np.nan, np.float32))
    assert "a.tif: an image holds finite values" in refused(*words, tmp_path / "out2")
    assert not (tmp_path / "out2").exists()


def test_cubes_of_npy_and_zarr_have_the_format_of_their_volume(
    make_run: MakeRun, tmp_path: Path, run: Run
) -> None:
    folder = make_run("a", **SMALL)
    image = np.random.default_rng(0).integers(0, 255, (8, 8, 16)).astype(np.uint16)
    for ending in (".npy", ".zarr"):
        like = Volume(image, (4.0, 2.0, 2.0), None, unit="µm") if ending == ".zarr" else None
        write(tmp_path / f"volumes/{ending[1:]}{ending}", image, like)

    run("suggest", "--run", folder.path, "--input", tmp_path / "volumes",
        "--output", tmp_path / "out", "--number", 4)  # fmt: skip

    rows = _table(tmp_path / "out")
    assert sorted(row["id"] for row in rows) == [
        *("npy_z0_y0_x0", "npy_z0_y0_x8", "zarr_z0_y0_x0", "zarr_z0_y0_x8"),
    ]
    for row in rows:
        files = [tmp_path / f"out/{part}/{row['id']}.{row['volume']}" for part in PARTS]
        cube, label = map(read, files)
        assert np.array_equal(cube.array, image[_region(row)])
        assert (label.array == 2).all() and label.array.shape == cube.array.shape
        if row["volume"] == "zarr":
            origin = (0.0, 0.0, 2.0 * int(row["start_x"]))
            assert (cube.origin, cube.spacing, cube.unit) == (origin, (4.0, 2.0, 2.0), "µm")
            assert label.origin == origin


def test_labels_that_another_process_wrote_meanwhile_are_kept(
    make_run: MakeRun, volumes: Path, tmp_path: Path, refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder, painted = make_run("a", **SMALL), tmp_path / "out/labels/painted.tif"
    score = FileSuggestion.score

    def slow(*words: Any) -> ScoredVolume:
        painted.parent.mkdir(parents=True, exist_ok=True)
        painted.write_bytes(b"mine")
        return score(*words)

    monkeypatch.setattr(FileSuggestion, "score", slow)
    words = ("--input", volumes, "--output", tmp_path / "out", "--number", 1)

    assert "exists, and painted labels are never" in refused(
        "suggest", "--run", folder.path, *words
    )
    assert painted.read_bytes() == b"mine"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]


def test_random_places_need_no_disagreement(
    make_run: MakeRun, volumes: Path, tmp_path: Path, run: Run
) -> None:
    folder = make_run("a", sampling__patch_size=[8, 8, 8])
    places = {}
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        run("suggest", "--run", folder.path, "--input", volumes, "--number", 4,
            "--output", tmp_path / name, "--random", seed)  # fmt: skip
        places[name] = [row["id"] for row in _table(tmp_path / name)]

    assert places["one"] == places["again"] != places["other"]
    taken = {name: np.zeros((20, 18, 16), int) for name in "ab"}
    for row in _table(tmp_path / "one"):
        assert row["reason"] == "a random place"
        assert row["score_bits"] == row["foreground"] == ""
        taken[row["volume"]][_region(row)] += 1
    assert all(one.max() <= 1 for one in taken.values())
    record = read_cubes_record(tmp_path / "one")
    image = tifffile.imread(volumes / f"{next(iter(record.volumes))}.tif")
    (statistics,) = [one.statistics for one in list(record.volumes.values())[:1]]
    assert statistics.mean == (pytest.approx(image.mean()),)

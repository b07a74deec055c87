"""vesuv instances of volumes on a server."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

import vesuv
from tests.cells import make_cells
from tests.cli.conftest import Refused, Run
from tests.http_server import RangeServer, serving
from tests.visualization.test_scene import write_image
from vesuv.config.data import PROBABILITY_STEPS
from vesuv.errors import InputError
from vesuv.inference.blocks.source import Source
from vesuv.inference.instances import files as instance_files
from vesuv.inference.instances import sources
from vesuv.inference.instances.arrays import to_levels, whole
from vesuv.inference.instances.fragment_store import StoredFragments
from vesuv.inference.instances.inputs import find_instance_inputs
from vesuv.inference.instances.parameters import read_selection
from vesuv.inference.instances.probability_files import FileLevels
from vesuv.io.formats import read, write
from vesuv.io.tables import write_json
from vesuv.runs.folder import RunFolder
from vesuv.selection.instance_truth import numbers_of_cases

pytest.importorskip("aiohttp")

SHAPE, SPACING = (16, 24, 24), (2.0, 1.0, 1.0)
PHANTOM = make_cells(SHAPE, 5, noise=0.5)
CHOSEN = {"seed_threshold": 0.3, "seed_smoothing": 1.0, "agglomeration_threshold": 0.5}
LEVELS = {"levels": PROBABILITY_STEPS}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Probabilities as floats, and as `predict` writes them inside the image of a mask."""
    folder = tmp_path_factory.mktemp("images")
    write_image(folder / "probs.zarr", PHANTOM.probs)
    labels = {"labels": {"background": [0], "membrane": [1]}}
    for name in ("pred", "calibrated", "bare"):
        write_image(folder / f"{name}.zarr", (PHANTOM.probs > 0.5).astype(np.uint8), labels)
    for name, scale in (("pred", LEVELS), ("calibrated", LEVELS | {"calibrated": True})):
        inside = folder / f"{name}.zarr/probabilities"
        write_image(inside, to_levels(PHANTOM.probs), scale)
    return folder


@pytest.fixture
def server(images: Path) -> Iterator[str]:
    with serving(RangeServer, images) as url:
        yield url


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    write_json(tmp_path / "chosen.json", {"parameters": CHOSEN, "boundary": "membrane"})
    return tmp_path / "chosen.json"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("probs.zarr", "probs"),
        pytest.param("pred.zarr", "pred", marks=pytest.mark.slow),
        pytest.param("pred.zarr/", "pred", marks=pytest.mark.slow),
        ("pred.zarr/probabilities", "pred"),
    ],
)
def test_probabilities_at_an_address_become_instances(
    address: str, name: str, server: str, tmp_path: Path, parameters: Path, run: Run
) -> None:
    run("instances", "--probabilities", f"{server}/{address}", "--parameters", parameters,
        "--output", tmp_path / "out")  # fmt: skip

    volume = read(tmp_path / f"out/{name}.zarr")
    expected = vesuv.segment_instances(PHANTOM.probs, parameters, spacing=SPACING)
    assert np.array_equal(volume.array, expected) and expected.max() > 3
    assert (volume.spacing, volume.unit) == (SPACING, "µm")
    (record,) = json.loads((tmp_path / "out/provenance.json").read_text())["inputs"]
    image = address.rstrip("/").removesuffix("/probabilities")
    assert record["files"][0]["address"].rstrip("/") == f"{server}/{image}"


def test_another_level_is_segmented_and_recorded(
    server: str, images: Path, tmp_path: Path, parameters: Path, run: Run
) -> None:
    for place, name in ((server, "far"), (images, "near")):
        run("instances", "--probabilities", f"{place}/probs.zarr", "--level", 1, "--parameters",
            parameters, "--output", tmp_path / name)  # fmt: skip

    far, near = (read(tmp_path / name / "probs.zarr").array for name in ("far", "near"))
    assert np.array_equal(far, near)
    assert far.shape == (8, 12, 12)
    record = json.loads((tmp_path / "far/provenance.json").read_text())["inputs"][0]
    assert record["level"] == 1


@pytest.mark.slow
def test_a_large_image_is_segmented_from_the_server_which_processes_can_open(
    server: str, tmp_path: Path, parameters: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_VOXELS_IN_MEMORY", 1000)
    monkeypatch.setattr(instance_files, "StoredFragments", (stored := Mock(wraps=StoredFragments)))

    run("instances", "--probabilities", f"{server}/pred.zarr", "--parameters", parameters,
        "--output", tmp_path / "out")  # fmt: skip

    assert stored.called
    expected = vesuv.segment_instances(PHANTOM.probs, parameters, spacing=SPACING)
    assert np.array_equal(read(tmp_path / "out/pred.zarr").array, expected)
    levels = FileLevels(Source((f"{server}/pred.zarr",)), read_selection(parameters))
    levels.check()
    sent = pickle.loads(pickle.dumps(levels))
    assert np.array_equal(sent.read(whole(SHAPE)), to_levels(PHANTOM.probs))


def test_an_image_at_an_address_has_the_instances_of_its_file(
    server: str, images: Path, trained_run: RunFolder, tiny_data: Path, tmp_path: Path, run: Run
) -> None:
    shutil.copytree(trained_run.path, tmp_path / "run")
    selection = {"parameters": CHOSEN, "boundary": "sheet"}
    write_json(RunFolder(tmp_path / "run").instances_file, selection)
    image = read(tiny_data / "train_images/c0.tif")
    write(images / "c0.zarr", image.array)
    words = ("instances", "--run", tmp_path / "run", "--input")

    run(*words, tiny_data / "train_images/c0.tif", "--output", tmp_path / "near")
    run(*words, f"{server}/c0.zarr", "--output", tmp_path / "far")

    near, far = read(tmp_path / "near/c0.tif").array, read(tmp_path / "far/c0.zarr").array
    assert np.array_equal(near, far) and near.max() > 1
    assert sorted(path.name for path in (tmp_path / "far").iterdir()) == [
        "c0.zarr",
        "provenance.json",
    ]


def test_a_dry_run_opens_an_address_and_writes_nothing(
    server: str, tmp_path: Path, parameters: Path, run: Run, refused: Refused, capsys: Any
) -> None:
    words = ("--parameters", parameters, "--output", tmp_path / "out", "--dry-run")

    run("instances", "--probabilities", f"{server}/probs.zarr", *words)

    printed = capsys.readouterr().out.replace("\n", "")
    assert f"would read: {server}/probs.zarr" in printed
    assert f"would write: {tmp_path / 'out/probs.zarr'}" in printed
    assert "holds no Zarr" in refused("instances", "--probabilities", f"{server}/no.zarr", *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none.zarr"], "none.zarr: holds no Zarr array or group; check the address"),
        (["bare.zarr"], "bare.zarr/probabilities: holds no Zarr array or group"),
        (["calibrated.zarr"], "calibrated.zarr/probabilities: holds calibrated probabilities"),
        (["probs.zarr", "--level", "9"], "--level: the image has levels 0 to"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_in_a_sentence(
    words: list[str], sentence: str, server: str, tmp_path: Path, parameters: Path, refused: Refused
) -> None:
    name, *others = words

    said = refused("instances", "--probabilities", f"{server}/{name}", *others, "--parameters",
                   parameters, "--output", tmp_path / "out")  # fmt: skip

    assert said.startswith("error: ")
    assert sentence in said.replace("\n", " ").replace("  ", " ")
    assert not (tmp_path / "out").exists()


def test_a_server_that_fails_leaves_nothing(
    server: str,
    tmp_path: Path,
    parameters: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vesuv.io.lazy.remote._FIRST_PAUSE", 0.001)
    monkeypatch.setattr(RangeServer, "failing", "/c/")

    said = refused("instances", "--probabilities", f"{server}/probs.zarr", "--parameters",
                   parameters, "--output", tmp_path / "out")  # fmt: skip

    said = " ".join(said.split())
    assert f"error: {server}/probs.zarr/0/c/" in said and "when the server can be reached" in said
    assert not list(tmp_path.glob("out/**/*"))


def test_a_level_of_a_file_that_has_none_is_refused(
    tmp_path: Path, parameters: Path, refused: Refused
) -> None:
    write(tmp_path / "a.npy", PHANTOM.probs)

    said = refused("instances", "--probabilities", tmp_path / "a.npy", "--level", 1,
                   "--parameters", parameters, "--output", tmp_path / "out")  # fmt: skip

    assert "only OME-Zarr images have levels, found 1" in " ".join(said.split())


def test_true_numbers_come_from_a_folder_on_a_server(server: str, images: Path) -> None:
    numbers = np.array([[[0, 70], [70, 9]]], np.uint16)
    write(images / "numbers/a.zarr", numbers)
    cases: Any = [SimpleNamespace(id=name, native_shape=(1, 2, 2)) for name in "ab"]

    truth = numbers_of_cases(f"{server}/numbers/", cases[:1])

    assert truth["a"].tolist() == [[[0, 2], [2, 1]]]
    with pytest.raises(InputError, match=r"numbers/b\.zarr: holds no Zarr array or group"):
        numbers_of_cases(f"{server}/numbers", cases)


@pytest.mark.parametrize("verb", ["instances", "predict"])
def test_an_address_as_output_is_refused(verb: str, tmp_path: Path, refused: Refused) -> None:
    said = refused(verb, "--input", tmp_path, "--run", tmp_path, "--output", "s3://a/b.zarr")

    assert said == (
        "error: --output: is written on this computer, found the address s3://a/b.zarr; name a "
        "folder\n"
    )


def test_an_address_names_its_output() -> None:
    (plain,) = find_instance_inputs("s3://scrolls/a/b.zarr", level=2, anonymous=True)
    (root,) = find_instance_inputs("https://example.org/")

    assert (plain.id, plain.output_name, plain.paths) == ("b", "b.zarr", [])
    assert plain.source == Source(("s3://scrolls/a/b.zarr",), 2, anonymous=True)
    assert root.output_name == "volume.zarr"

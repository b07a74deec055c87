from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.inference.conftest import predict_files
from vesuv.errors import InputError
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.files import FilePrediction
from vesuv.inference.inputs import find_inputs
from vesuv.inference.repeat import open_recorded
from vesuv.runs.folder import RunFolder
from vesuv.runs.software import software

SMALL = {"name": "remove_small", "voxels": 30}
REGIONS = {
    "labels__classes": {"air": 0, "a": 1, "b": 3},
    "labels__regions": {"both": ["a", "b"], "b": ["b"]},
    "model__out_channels": 2,
}


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    folder = tmp_path / "volumes"
    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 255, (18, 20, 17)).astype(np.uint8)
    tifffile.imwrite(folder / "a.tif", image)
    return folder


def _select(run: RunFolder, **more: object) -> None:
    content = {"version": 1, "checkpoint": "best", "threshold": 0.45, **more}
    (run.path / "selected.json").write_text(json.dumps(content))


def _repeat(record: Path, source: Path, output: Path) -> None:
    repeated = open_recorded(record)
    FilePrediction(
        repeated.members,
        repeated.mask,
        repeated.predictor,
        output,
        repeated.probabilities,
        uncertainty=repeated.uncertainty,
        calibrated=repeated.calibrated,
        blocks=BlockSettings().repeating(repeated.blocks),
    ).run(find_inputs(source))


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.tif")}


def _settings(folder: Path) -> dict[str, object]:
    content = json.loads((folder / "provenance.json").read_text())
    return {key: value for key, value in content.items() if key not in ("written", "command")}


@pytest.mark.parametrize("kind", ["one class", "regions"])
def test_a_repetition_writes_the_same_bytes(
    make_run: Callable[..., RunFolder], volumes: Path, tmp_path: Path, kind: str
) -> None:
    more = REGIONS if kind == "regions" else {}
    runs = [make_run(name, seed=seed, **more) for seed, name in enumerate("ab")]
    temperature = {"both": 1.5, "b": 0.8} if kind == "regions" else 1.5
    for run in runs:
        _select(run, postprocess=[SMALL], calibration={"temperature": temperature})
    first, second = tmp_path / "first", tmp_path / "second"
    predict_files(
        [run.path for run in runs],
        volumes,
        first,
        weights=[2.0, 1.0],
        probabilities=True,
        uncertainty=True,
        calibrated=True,
        changes=[
            "inference.views=all",
            "inference.overlap=0.25",
            "inference.batch_size=2",
            "inference.patch_size=[32, 16, 16]",
        ],
    )
    for run in runs:  # what is selected later has no say
        _select(run, threshold=0.9, inference={"overlap": 0.75, "views": "none"})

    _repeat(first / "provenance.json", volumes, second)

    assert sorted(_bytes(first)) == ["a.tif", "probabilities/a.tif", "uncertainty/a.tif"]
    assert _bytes(second) == _bytes(first)
    ours, theirs = _settings(first), _settings(second)
    for settings in (ours, theirs):
        for one in settings["runs"]:
            del one["selected_threshold"], one["postprocess"]
    assert theirs == ours


def test_windows_that_are_selected_later_have_no_say(
    make_run, volumes: Path, tmp_path: Path
) -> None:
    run = make_run("a")
    _select(run)
    predict_files([run.path], volumes, tmp_path / "first", probabilities=True)
    _select(run, inference={"patch_size": [32, 16, 16]})

    _repeat(tmp_path / "first/provenance.json", volumes, tmp_path / "second")

    assert _bytes(tmp_path / "second") == _bytes(tmp_path / "first")


def test_a_repetition_takes_the_same_blocks(make_run, volumes: Path, tmp_path: Path) -> None:
    run = make_run("a")
    _select(run)
    blocks = BlockSettings(block_size=16, always=True, coverage="full")
    predict_files([run.path], volumes, tmp_path / "out", probabilities=True, blocks=blocks)
    predict_files([run.path], volumes, tmp_path / "whole", probabilities=True)

    _repeat(tmp_path / "out/provenance.json", volumes, tmp_path / "again")

    repeated = open_recorded(tmp_path / "again/provenance.json")
    assert BlockSettings().repeating(repeated.blocks) == blocks
    assert _bytes(tmp_path / "again") == _bytes(tmp_path / "out")
    # blocks count statistics in another order, and write slab by slab
    assert _bytes(tmp_path / "whole") != _bytes(tmp_path / "out")


def test_another_run_of_the_same_settings_has_other_bytes(make_run, volumes, tmp_path) -> None:
    predict_files([make_run("a", seed=0).path], volumes, tmp_path / "a", probabilities=True)
    predict_files([make_run("b", seed=1).path], volumes, tmp_path / "b", probabilities=True)

    one, other = _bytes(tmp_path / "a"), _bytes(tmp_path / "b")
    assert one["probabilities/a.tif"] != other["probabilities/a.tif"]


def test_a_checkpoint_that_has_changed_is_refused(make_run, volumes: Path, tmp_path: Path) -> None:
    run, other = make_run("a", seed=0), make_run("b", seed=1)
    predict_files([run.path], volumes, tmp_path / "out")
    shutil.copy(other.checkpoint("best"), run.checkpoint("best"))

    with pytest.raises(InputError, match=r"best\.pt: is another checkpoint than .*provenance\.js"):
        open_recorded(tmp_path / "out/provenance.json")


def _edited(folder: Path, **changes: object) -> Path:
    path = folder / "provenance.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"runs": []}, r"--from: .* is not what predict writes \(runs: "),
        ({"version": 2}, r"provenance\.json: record version must be 1, found 2 of a newer vesuv"),
        ({"threshold": {"value": "high", "why": ""}}, r"is not what predict writes"),
        ({"spacing": [1.0, 2.0, 3.0]}, r"--from: .* was predicted with spacing \(1\.0, 2\.0, 3"),
        ({"spacing_unit": "mm"}, r"--from: .* was predicted with spacing_unit 'mm', now None"),
        ({"postprocess": {"steps": [{"name": "shrink"}], "why": ""}}, r"postprocess"),
    ],
)
def test_a_record_that_cannot_be_repeated_is_refused(
    make_run, volumes: Path, tmp_path: Path, changes, sentence: str
) -> None:
    predict_files([make_run("a").path], volumes, tmp_path / "out")

    with pytest.raises(InputError, match=sentence):
        open_recorded(_edited(tmp_path / "out", **changes))


def test_a_record_of_other_regions_is_refused(make_run, volumes: Path, tmp_path: Path) -> None:
    predict_files([make_run("a", **REGIONS).path], volumes, tmp_path / "out")
    threshold = {"value": {"both": 0.5, "c": 0.5}, "why": ""}

    with pytest.raises(InputError, match="records other classes than both, b of the run"):
        open_recorded(_edited(tmp_path / "out", threshold=threshold))


def test_other_software_is_said(make_run, volumes: Path, tmp_path: Path) -> None:
    predict_files([make_run("a").path], volumes, tmp_path / "out")
    record = tmp_path / "out/provenance.json"
    assert open_recorded(record).notes == ()
    here = software()

    other = here | {"python": "3.1", "packages": here["packages"] | {"torch": "1.0"}}
    (note,) = open_recorded(_edited(tmp_path / "out", software=other)).notes

    assert note.startswith("recorded with other software, so bits may differ: python 3.1, now ")
    assert f"torch 1.0, now {here['packages']['torch']}" in note


def test_a_record_of_a_former_version_is_repeated(make_run, volumes: Path, tmp_path: Path) -> None:
    run = make_run("a")
    predict_files([run.path], volumes, tmp_path / "out", changes=["inference.views=mirror"])
    path = tmp_path / "out/provenance.json"
    content = json.loads(path.read_text())
    for key in (
        "threads",
        "spacing_unit",
        "blocks",
        "uncertainty",
        "calibrated",
        "temperature",
        "command",
    ):
        del content[key]
    del content["runs"][0]["weight"], content["inference"]["views"]
    content["inference"]["mirror"] = True
    path.write_text(json.dumps(content))

    _repeat(path, volumes, tmp_path / "again")

    assert open_recorded(path).predictor.inference.views == "mirror"
    assert _bytes(tmp_path / "again") == _bytes(tmp_path / "out")

"""export, and predict with what it writes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.cli.conftest import Refused, Run
from vesuv.inference.bundle import open_bundle
from vesuv.inference.members import file_digest
from vesuv.inference.provenance import predicted_labels
from vesuv.runs.folder import RunFolder

MIDDLE = 0.39
"""Near the median of the probabilities of the untrained networks."""
SMALL = {"name": "remove_small", "voxels": 30}
SETTINGS = {
    "inference": {"overlap": 0.25, "views": "mirror"},
    "calibration": {"temperature": 1.7},
}
"""Of the selection."""


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    image = np.random.default_rng(0).integers(0, 255, (18, 20, 17)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "in/a.tif", image)
    return tmp_path / "in/a.tif"


@pytest.fixture
def runs(make_run) -> list[RunFolder]:
    """Two folds with one selection each."""
    folders = [make_run(name, seed=seed) for seed, name in enumerate("ab")]
    for folder in folders:
        _select(folder)
    return folders


def _select(folder: RunFolder, **more: object) -> None:
    content = {"threshold": MIDDLE, "postprocess": [SMALL], **SETTINGS, **more}
    whole = {"version": 1, "checkpoint": "best", **content}
    (folder.path / "selected.json").write_text(json.dumps(whole))


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.tif")}


def _arrays(folder: Path) -> dict[str, bytes]:
    """Return the chunks of a Zarr."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    chunks = (path for path in paths if "c" in path.relative_to(folder).parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in chunks}


def test_files_of_a_bundle_equal_those_of_its_runs_and_can_be_repeated(
    runs: list[RunFolder], volume: Path, tmp_path: Path, run: Run
) -> None:
    paths, weights = [one.path for one in runs], ("--weights", "2", "1")
    outputs = ("--probabilities", "--uncertainty", "--calibrated")
    bundle = tmp_path / "bundle"

    run("predict", "--run", *paths, *weights, "--input", volume, "--output", tmp_path / "1",
        *outputs)  # fmt: skip
    run("export", "--run", *paths, *weights, "--output", bundle)
    for path in paths:
        shutil.rmtree(path)
    run("predict", "--model", bundle, "--input", volume, "--output", tmp_path / "2", *outputs)
    record = tmp_path / "2/provenance.json"
    run("predict", "--from", record, "--input", volume, "--output", tmp_path / "3")

    files = _files(tmp_path / "1")
    assert sorted(files) == ["a.tif", "probabilities/a.tif", "uncertainty/a.tif"]
    assert 0.1 < tifffile.imread(tmp_path / "1/a.tif").mean() < 0.9
    assert _files(tmp_path / "2") == files == _files(tmp_path / "3")
    first, second = json.loads(record.read_text())["runs"]
    assert first["bundle_files"] == {
        name: file_digest(bundle / name)
        for name in ("bundle.json", "a_best.safetensors", "a_best.yaml")
    }
    assert (first["weight"], second["weight"]) == (2.0, 1.0)
    labels = predicted_labels(tmp_path / "2")
    assert labels is not None and labels.classes == {"background": 0, "sheet": 1}


def test_blocks_of_a_bundle_equal_those_of_its_run(
    runs: list[RunFolder], volume: Path, tmp_path: Path, run: Run
) -> None:
    words = ("--input", volume, "--block-size", "16", "--probabilities", "--output")

    run("predict", "--run", runs[0].path, *words, tmp_path / "run.zarr")
    run("export", "--run", runs[0].path, "--output", tmp_path / "bundle")
    run("predict", "--model", tmp_path / "bundle", *words, tmp_path / "bundle.zarr")

    chunks = _arrays(tmp_path / "run.zarr")
    assert chunks and _arrays(tmp_path / "bundle.zarr") == chunks


def test_given_weights_replace_those_of_a_bundle_also_in_a_repetition(
    runs: list[RunFolder], volume: Path, tmp_path: Path, run: Run
) -> None:
    paths, bundle = [one.path for one in runs], tmp_path / "bundle"
    run("export", "--run", *paths, "--weights", "5", "1", "--output", bundle)
    words = ("--input", volume, "--probabilities", "--output")

    run("predict", "--model", bundle, "--weights", "1", "1", *words, tmp_path / "bundle_masks")
    run("predict", "--run", *paths, *words, tmp_path / "run_masks")
    record = tmp_path / "bundle_masks/provenance.json"
    run("predict", "--from", record, "--input", volume, "--output", tmp_path / "again")

    masks = _files(tmp_path / "run_masks")
    assert _files(tmp_path / "bundle_masks") == masks == _files(tmp_path / "again")


def test_a_bundle_that_was_exported_anew_is_not_the_recorded_one(
    runs: list[RunFolder], volume: Path, tmp_path: Path, run: Run, refused: Refused
) -> None:
    words = ("export", "--run", runs[0].path, "--output", tmp_path / "bundle")
    run(*words)
    run("predict", "--model", tmp_path / "bundle", "--input", volume, "--output", tmp_path / "1")
    run(*words, "--licence", "CC0-1.0", "--overwrite")
    record = tmp_path / "1/provenance.json"

    said = refused("predict", "--from", record, "--input", volume, "--output", tmp_path / "2")

    assert said == (
        f"error: {tmp_path / 'bundle'}: is another bundle than {record} records (files of other "
        "content); restore it, or predict anew with --model\n"
    )


def test_a_best_json_is_exported_with_its_threshold(
    runs: list[RunFolder], tmp_path: Path, run: Run
) -> None:
    members = [
        {"run": str(one.path), "checkpoint": "best", "checkpoint_sha256": "x"} for one in runs
    ]
    content = {"version": 1, "members": members, "threshold": 0.35, "postprocess": []}
    (tmp_path / "best.json").write_text(json.dumps(content))

    run("export", "--best", tmp_path / "best.json", "--output", tmp_path / "bundle")

    members = open_bundle(tmp_path / "bundle")
    assert [one.threshold("sheet") for one in members] == [0.35, 0.35]


def test_a_bundle_is_written_again_with_another_licence_in_its_place(
    runs: list[RunFolder], volume: Path, tmp_path: Path, run: Run
) -> None:
    bundle = tmp_path / "bundle"
    run("export", "--run", *(one.path for one in runs), "--weights", "2", "1", "--output", bundle)
    card = (bundle / "model_card.md").read_text()
    (bundle / "model_card.md").write_text(
        card.replace("## Scores\n\n", "## Scores\n\nMore. ") + "\n## Own\n\nText\n"
    )
    weights = [file_digest(path) for path in sorted(bundle.glob("*.safetensors"))]

    run("export", "--model", bundle, "--output", bundle, "--licence", "CC0-1.0", "--overwrite")

    members = open_bundle(bundle)
    assert [(one.name, one.weight) for one in members] == [("a_best", 2.0), ("b_best", 1.0)]
    assert [one.sha256 for one in members] == weights
    assert [one.threshold("sheet") for one in members] == [MIDDLE, MIDDLE]
    assert json.loads((bundle / "bundle.json").read_text())["licence"] == "CC0-1.0"
    expected = card.replace("The author states none.", "CC0-1.0").replace(
        "## Scores\n\n", "## Scores\n\nMore. "
    )
    assert (bundle / "model_card.md").read_text() == expected + "\n## Own\n\nText\n"


def test_bundles_become_one_ensemble_that_names_the_scores_of_each(
    runs: list[RunFolder], tmp_path: Path, run: Run, refused: Refused
) -> None:
    bundles = [tmp_path / "one", tmp_path / "two"]
    for number, (one, bundle) in enumerate(zip(runs, bundles, strict=True)):
        _select(one, dice=0.7 + number / 10)
        run("export", "--run", one.path, "--output", bundle, "--licence", f"L{number}")
    words = ("export", "--model", *bundles, "--output", tmp_path / "both")

    assert refused(*words) == (
        "error: --licence: must be named where bundles state different licences, found L0, L1\n"
    )
    run(*words, "--licence", "L0")

    assert [one.name for one in open_bundle(tmp_path / "both")] == ["a_best", "b_best"]
    card = (tmp_path / "both/model_card.md").read_text()
    scores = card.partition("## Scores")[2].partition("## ")[0]
    assert scores.startswith("\n\nThe mean of the bundles was not measured.\n\nBundle 1:\n\n- Dice")
    assert "0.7000" in scores and "Bundle 2:" in scores and "0.8000" in scores
    assert card.count("## Limits") == 1


def test_a_bundle_without_a_card_gets_one_and_keeps_its_licence(
    runs: list[RunFolder], tmp_path: Path, run: Run
) -> None:
    run("export", "--run", runs[0].path, "--output", tmp_path / "one", "--licence", "CC0-1.0")
    (tmp_path / "one/model_card.md").unlink()

    run("export", "--model", tmp_path / "one", "--output", tmp_path / "two")

    card = (tmp_path / "two/model_card.md").read_text()
    assert "## Scores\n\nNot measured.\n" in card
    assert "## Licence\n\nCC0-1.0\n" in card


def test_what_is_written_is_said(
    runs: list[RunFolder], tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    path, bundle = runs[0].path, tmp_path / "bundle"
    _select(runs[0], checkpoint_sha256="0" * 64)
    capsys.readouterr()

    run("export", "--run", path, "--output", bundle)

    assert capsys.readouterr().out.splitlines() == [
        f"{path}: best, epoch 3, trained on since it was selected",
        f"written: {bundle}",
        "note: no licence is named; --licence states one in the bundle",
    ]


def test_options_that_exclude_each_other_are_refused(
    runs: list[RunFolder], volume: Path, tmp_path: Path, run: Run, refused: Refused
) -> None:
    path, bundle = runs[0].path, tmp_path / "bundle"
    run("export", "--run", path, "--output", bundle)
    words = ("--model", bundle, "--input", volume, "--output", tmp_path / "out")

    for option, value in (("--run", path), ("--best", path), ("--checkpoint", "best")):
        said = refused("predict", *words, option, value)
        assert said == f"error: {option}: --model names networks itself; leave one out\n"
    assert "--run: needs at least one run folder" in refused("export", "--output", tmp_path / "n")
    assert "is a bundle already" in refused("export", "--run", path, "--output", bundle)
    said = refused("export", "--run", path, "--weights", "1", "2", "--output", tmp_path / "n")
    assert "--weights: needs one number for each of the 1 checkpoints" in said
    assert not (tmp_path / "n").exists()


def test_onnx_is_written_when_asked_for(runs: list[RunFolder], tmp_path: Path, run: Run) -> None:
    pytest.importorskip("onnx")
    words = ("export", "--run", runs[0].path, "--output", tmp_path / "bundle")
    run(*words)
    plain = {path.name for path in (tmp_path / "bundle").iterdir()}

    run(*words, "--onnx", "--overwrite")

    files = {path.name for path in (tmp_path / "bundle").iterdir()}
    assert files - plain == {"a_best.onnx", "processing.json"}
    card = (tmp_path / "bundle/model_card.md").read_text()
    assert "Without vesuv: each .onnx file maps an image" in card

"""vesuv instances, as a user calls it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import tifffile

import vesuv
from tests.cells import make_cells
from tests.cli.conftest import Refused, Run
from tests.selection.conftest import held_out_images
from vesuv.evaluation.instances import compare_instances, label_cells
from vesuv.inference.instances import files as instance_files
from vesuv.inference.instances import sources
from vesuv.inference.instances.fragment_store import StoredFragments
from vesuv.inference.members import file_digest
from vesuv.io.formats import read, write
from vesuv.io.lazy import open_lazy
from vesuv.io.tables import write_json
from vesuv.runs.checkpoints import read_checkpoint, write_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.selection import instance_search

PHANTOM = make_cells((20, 24, 28), 6, noise=0.5)
CHOSEN = {"seed_threshold": 0.3, "seed_smoothing": 1.0, "agglomeration_threshold": 0.5}


@pytest.fixture
def folder(trained_run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A copy of the trained run that a test may change; few parameters are tried."""
    monkeypatch.setattr(instance_search, "SEED_THRESHOLDS", (0.3,))
    monkeypatch.setattr(instance_search, "SEED_SMOOTHINGS", (1.0,))
    monkeypatch.setattr(instance_search, "FOREGROUND_THRESHOLDS", (0.5,))
    monkeypatch.setattr(instance_search, "OBJECT_SEED_THRESHOLDS", (0.5,))
    monkeypatch.setattr(instance_search, "OBJECT_SEED_SMOOTHINGS", (1.0,))
    shutil.copytree(trained_run.path, tmp_path / "run")
    return RunFolder(tmp_path / "run")


@pytest.fixture
def parameters(tmp_path: Path) -> Path:
    write_json(tmp_path / "chosen.json", {"parameters": CHOSEN, "boundary": "membrane"})
    return tmp_path / "chosen.json"


def _scores_of_file(path: Path, label: Path) -> float:
    values = tifffile.imread(label)
    truth = label_cells(values == 1, values != 2)
    return sum(compare_instances(read(path).array, truth).voi)


def test_what_was_judged_is_what_is_written(
    folder: RunFolder,
    tiny_data: Path,
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("instances", "--run", folder.path, "--checkpoint", "ema")
    printed = " ".join(capsys.readouterr().out.split())
    images = held_out_images(folder, tiny_data, tmp_path)
    run("instances", "--run", folder.path, "--input", images, "--output", tmp_path / "out")

    content = json.loads(folder.instances_file.read_text())
    assert f"the lowest VOI, {content['voi']:.3f} bits" in printed
    assert "honest estimate, chosen without and scored on each group in turn" in printed
    for case in content["cases"]:
        name = f"{case['id']}.tif"
        voi = _scores_of_file(tmp_path / "out" / name, tiny_data / "train_labels" / name)
        assert voi == pytest.approx(case["voi"], abs=1e-9)
    record = json.loads((tmp_path / "out/provenance.json").read_text())
    assert record["instances"]["parameters"] == content["parameters"]
    assert [one["checkpoint"] for one in record["runs"]] == ["ema"]
    assert [one["id"] for one in record["inputs"]] == sorted(folder.facts.validation_cases)


@pytest.fixture
def best(folder: RunFolder, tmp_path: Path) -> Path:
    """best.json of the mean of two configurations with other weights."""
    members = []
    for name, factor in (("a", 1.0), ("b", 0.5)):
        run = RunFolder(tmp_path / name / "fold_0")
        shutil.copytree(folder.path, run.path)
        old = read_checkpoint(run.checkpoint("ema"))
        weights = {**old.model, "output.weight": factor * old.model["output.weight"]}
        write_checkpoint(run.checkpoint("ema"), model=weights, config=old.config,
                         normalizer=old.normalizer, epoch=3, measure=None)  # fmt: skip
        digest = file_digest(run.checkpoint("ema"))
        members.append({"run": run.path, "checkpoint": "ema", "checkpoint_sha256": digest})
    content = {"members": members, "threshold": 0.5, "postprocess": []}
    write_json(tmp_path / "best.json", content)
    return tmp_path / "best.json"


def test_the_ensemble_of_best_json_is_judged_and_writes_what_was_judged(
    best: Path, folder: RunFolder, tiny_data: Path, tmp_path: Path, run: Run, capsys: Any
) -> None:
    run("instances", "--best", best)
    printed = " ".join(capsys.readouterr().out.split())
    images = held_out_images(folder, tiny_data, tmp_path)
    run("instances", "--best", best, "--input", images, "--output", tmp_path / "out")
    run("instances", "--run", tmp_path / "a/fold_0", "--parameters",
        tmp_path / "best.instances.json", "--input", images, "--output", tmp_path / "a/out",
        "--checkpoint", "ema")  # fmt: skip

    content = json.loads((tmp_path / "best.instances.json").read_text())
    assert f"next: vesuv instances --best {best} --input ... --output ..." in printed
    for case in content["cases"]:
        name = f"{case['id']}.tif"
        voi = _scores_of_file(tmp_path / "out" / name, tiny_data / "train_labels" / name)
        assert voi == pytest.approx(case["voi"], abs=1e-9)
        of_one = tifffile.imread(tmp_path / "a/out" / name)
        assert not np.array_equal(of_one, tifffile.imread(tmp_path / "out" / name))
    record = json.loads((tmp_path / "out/provenance.json").read_text())
    assert [Path(one["run"]).parent.name for one in record["runs"]] == ["a", "b"]
    assert not list(tmp_path.glob("*/fold_0/instances.json"))


def test_a_best_json_of_one_configuration_is_judged_and_marked_when_trained_on(
    best: Path, tiny_data: Path, tmp_path: Path, run: Run, capsys: Any
) -> None:
    content = json.loads(best.read_text())
    write_json(best, {**content, "members": content["members"][:1]})
    run("instances", "--best", best, "--dry-run")
    assert f"would write: {tmp_path / 'best.instances.json'}" in capsys.readouterr().out
    assert not (tmp_path / "best.instances.json").exists()
    run("instances", "--best", best)
    shutil.copy(tmp_path / "b/fold_0/checkpoints/ema.pt", tmp_path / "a/fold_0/checkpoints/ema.pt")

    run("instances", "--best", best, "--input", tiny_data / "train_images/c0.tif", "--output",
        tmp_path / "out", "--dry-run")  # fmt: skip

    assert "chosen ema, seeds" in (printed := " ".join(capsys.readouterr().out.split()))
    assert "ema, epoch 3, trained on since the parameters were chosen" in printed


def test_a_best_json_without_parameters_names_the_call_that_chooses_them(
    best: Path, tmp_path: Path, refused: Refused
) -> None:
    said = refused("instances", "--best", best, "--input", tmp_path, "--output", tmp_path / "o")

    assert f"best.instances.json: no such file; vesuv instances --best {best} writes it" in said


def test_objects_that_were_judged_are_written_and_evaluate_agrees(
    folder: RunFolder, tiny_data: Path, tmp_path: Path, run: Run, capsys: Any
) -> None:
    run("instances", "--run", folder.path, "--checkpoint", "ema", "--foreground", "sheet")
    printed = " ".join(capsys.readouterr().out.split())
    images = held_out_images(folder, tiny_data, tmp_path)
    run("instances", "--run", folder.path, "--input", images, "--output", tmp_path / "out")
    run("evaluate", "--predictions", tmp_path / "out", "--labels", tiny_data / "train_labels",
        "--output", tmp_path / "scores", "--instances", "foreground", "--run",
        folder.path)  # fmt: skip

    content = json.loads(folder.instances_file.read_text())
    assert content["foreground"] == "sheet" and "boundary" not in content
    assert f"F1 of objects {content['f1']:.3f}" in printed
    summary = json.loads((tmp_path / "scores/instance_summary.json").read_text())
    judged = {case["id"]: case for case in content["cases"]}
    for case in summary["cases"]:
        for score in ("voi", "rand_error", "f1"):
            assert case[score] == pytest.approx(judged[case["id"]][score], abs=1e-5), score
    record = json.loads((tmp_path / "out/provenance.json").read_text())
    assert record["instances"]["foreground"] == "sheet"


def test_a_volume_in_blocks_has_the_instances_of_memory(
    folder: RunFolder, tiny_data: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(folder.instances_file, {"parameters": CHOSEN, "boundary": "sheet"})
    image = tiny_data / "train_images/c0.tif"
    monkeypatch.setattr(sources.NetworkSource, "block_size", 16)
    words = ("instances", "--run", folder.path, "--input", image)

    run(*words, "--output", tmp_path / "whole")
    run(*words, "--output", tmp_path / "blocks", "--blocks")

    whole, blocks = (tifffile.imread(tmp_path / name / "c0.tif") for name in ("whole", "blocks"))
    assert np.array_equal(whole, blocks)
    assert whole.dtype == np.uint32 and whole.max() > 1
    assert sorted(path.name for path in (tmp_path / "blocks").iterdir()) == [
        "c0.tif",
        "provenance.json",
    ]


@pytest.mark.parametrize("ending", [".tif", ".nii.gz", ".nrrd", ".npy", ".zarr"])
def test_files_of_probabilities_become_instances_in_their_format(
    ending: str, tmp_path: Path, parameters: Path, run: Run
) -> None:
    source = tmp_path / f"probs/a{ending}"
    source.parent.mkdir()
    write(source, PHANTOM.probs)

    run("instances", "--probabilities", source, "--parameters", parameters,
        "--output", tmp_path / "out")  # fmt: skip

    cells = read(tmp_path / f"out/a{ending}").array
    assert np.array_equal(cells, vesuv.segment_instances(PHANTOM.probs, parameters))
    assert sum(compare_instances(cells, PHANTOM.judged).voi) < 0.1


def test_a_large_file_of_probabilities_is_segmented_from_disk(
    tmp_path: Path, parameters: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_VOXELS_IN_MEMORY", 1000)
    monkeypatch.setattr(instance_files, "StoredFragments", (stored := Mock(wraps=StoredFragments)))
    write(tmp_path / "a.zarr", PHANTOM.probs)

    run("instances", "--probabilities", tmp_path / "a.zarr", "--parameters", parameters,
        "--output", tmp_path / "out")  # fmt: skip

    assert stored.called
    volume = open_lazy(tmp_path / "out/a.zarr")
    cells = volume.voxels.read((slice(0, 20), slice(0, 24), slice(0, 28)))[0]
    assert np.array_equal(cells, vesuv.segment_instances(PHANTOM.probs, parameters))
    assert not list((tmp_path / "out").glob(".*"))


def test_probabilities_of_predict_in_blocks_are_read_with_their_levels(
    folder: RunFolder, tiny_data: Path, tmp_path: Path, run: Run
) -> None:
    write_json(folder.instances_file, {"parameters": CHOSEN, "boundary": "sheet"})
    image = tiny_data / "train_images/c1.tif"
    run("predict", "--run", folder.path, "--checkpoint", "best", "--probabilities", "--input",
        image, "--output", tmp_path / "pred.zarr")  # fmt: skip

    run("instances", "--run", folder.path, "--probabilities", tmp_path / "pred.zarr",
        "--output", tmp_path / "a")  # fmt: skip
    run("instances", "--run", folder.path, "--input", image, "--output", tmp_path / "b")

    cells = read(tmp_path / "a/pred.zarr").array
    assert np.array_equal(cells, tifffile.imread(tmp_path / "b/c1.tif"))


EMA = {"parameters": CHOSEN, "boundary": "sheet", "checkpoint": "ema"}
OF_BEST = {"parameters": CHOSEN, "boundary": "sheet", "members_sha256": ["1", "2"]}


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    """Probabilities as `predict` writes them beside masks, by the checkpoints best of two runs."""
    runs = [{"checkpoint": "best", "checkpoint_sha256": digest} for digest in "13"]
    write(tmp_path / "masks/probabilities/a.tif", PHANTOM.probs)
    write_json(tmp_path / "masks/provenance.json", {"runs": runs})
    return tmp_path / "masks/probabilities"


@pytest.mark.parametrize(
    ("selection", "warning"),
    [
        (EMA, "by best, and the parameters were chosen with ema; predict with --checkpoint ema"),
        ({**EMA, "checkpoint": "best"}, None),
        (OF_BEST, "by best, and the parameters were chosen with best.json; predict with --best"),
        ({**OF_BEST, "members_sha256": ["3", "1"]}, None),
        ({"parameters": CHOSEN, "boundary": "sheet"}, None),
    ],
)
def test_probabilities_of_other_networks_are_warned_of(
    selection: dict[str, Any], warning: str | None, predicted: Path, run: Run, capsys: Any
) -> None:
    write_json(predicted / "../../chosen.json", selection)
    run("instances", "--probabilities", predicted, "--parameters", predicted / "../../chosen.json",
        "--output", predicted / "../../out", "--dry-run")  # fmt: skip

    printed = " ".join(capsys.readouterr().out.split())
    assert ("warning" in printed) == (warning is not None)
    assert (warning or "") in printed


def test_calibrated_probabilities_in_files_are_refused(
    predicted: Path, parameters: Path, tmp_path: Path, refused: Refused
) -> None:
    write_json(predicted / "../provenance.json", {"runs": [], "calibrated": True})

    said = refused("instances", "--probabilities", predicted, "--parameters", parameters,
                   "--output", tmp_path / "out")  # fmt: skip

    assert "a.tif: holds calibrated probabilities, and parameters are chosen for the others" in said


def test_a_bundle_gives_the_instances_of_its_run(
    folder: RunFolder, tiny_data: Path, tmp_path: Path, run: Run
) -> None:
    write_json(folder.instances_file, {"parameters": CHOSEN, "boundary": "sheet"})
    image = tiny_data / "train_images/c0.tif"
    run("export", "--run", folder.path, "--checkpoint", "best", "--output", tmp_path / "bundle")

    run("instances", "--run", folder.path, "--input", image, "--output", tmp_path / "a")
    run("instances", "--model", tmp_path / "bundle", "--parameters", folder.instances_file,
        "--input", image, "--output", tmp_path / "b")  # fmt: skip

    of_run, of_bundle = (tifffile.imread(tmp_path / name / "c0.tif") for name in "ab")
    assert np.array_equal(of_run, of_bundle) and of_run.max() > 1


def test_a_dry_run_writes_nothing(
    folder: RunFolder, tiny_data: Path, tmp_path: Path, run: Run, capsys: Any
) -> None:
    run("instances", "--run", folder.path, "--dry-run")
    write_json(folder.instances_file, {"parameters": CHOSEN, "boundary": "sheet"})
    image = tiny_data / "train_images/c0.tif"
    run("instances", "--run", folder.path, "--input", image, "--output", tmp_path / "out",
        "--dry-run")  # fmt: skip

    printed = capsys.readouterr().out.replace("\n", "")
    assert f"would write: {folder.instances_file}" in printed
    assert f"would write: {tmp_path / 'out/c0.tif'}" in printed
    assert not (tmp_path / "out").exists()


def test_existing_instances_are_replaced_only_on_request(
    tmp_path: Path, parameters: Path, run: Run, refused: Refused
) -> None:
    write(tmp_path / "a.npy", PHANTOM.probs)
    words = ("instances", "--probabilities", tmp_path / "a.npy", "--parameters", parameters,
             "--output", tmp_path / "out")  # fmt: skip
    run(*words)
    before = (tmp_path / "out/a.npy").stat().st_mtime_ns

    assert "exists already; name another folder" in " ".join(refused(*words).split())
    run(*words, "--overwrite")

    assert (tmp_path / "out/a.npy").stat().st_mtime_ns > before


def test_a_folder_takes_further_volumes_of_the_same_parameters_only(
    tmp_path: Path, parameters: Path, run: Run, refused: Refused
) -> None:
    for name in "ab":
        write(tmp_path / f"{name}.npy", PHANTOM.probs)
    write_json(tmp_path / "other.json", {"parameters": {**CHOSEN, "smallest_instance": 9}})
    words = ("instances", "--output", tmp_path / "out", "--probabilities")

    run(*words, tmp_path / "a.npy", "--parameters", parameters)
    said = refused(*words, tmp_path / "b.npy", "--parameters", tmp_path / "other.json")
    run(*words, tmp_path / "b.npy", "--parameters", parameters)

    assert "record of instances with other parameters or networks" in " ".join(said.split())
    record = json.loads((tmp_path / "out/provenance.json").read_text())
    assert [one["id"] for one in record["inputs"]] == ["a", "b"]


def test_a_checkpoint_that_was_trained_on_is_marked(
    folder: RunFolder, tiny_data: Path, tmp_path: Path, run: Run, capsys: Any
) -> None:
    chosen = {"parameters": CHOSEN, "boundary": "sheet", "checkpoint": "best"}
    write_json(folder.instances_file, {**chosen, "checkpoint_sha256": "0"})

    run("instances", "--run", folder.path, "--input", tiny_data / "train_images/c0.tif",
        "--output", tmp_path / "out")  # fmt: skip

    assert "best, epoch" in (printed := " ".join(capsys.readouterr().out.split()))
    assert ", trained on since the parameters were chosen" in printed


def test_a_faulty_file_is_left_out_and_the_others_are_segmented(
    tmp_path: Path, parameters: Path, refused: Refused
) -> None:
    source = tmp_path / "probs"
    source.mkdir()
    for name, probs in {
        "a": np.ones((4, 4, 4), np.float32),
        "b": PHANTOM.probs,
        "c": np.zeros((4, 4, 4), np.float32),
        "d": np.full((4, 4, 4), 3.0, np.float32),
    }.items():
        write(source / f"{name}.npy", probs)

    said = " ".join(
        refused("instances", "--probabilities", source, "--parameters", parameters,
                "--output", tmp_path / "out").split()
    )  # fmt: skip

    for name, reason in {
        "a": "all of it is boundary",
        "c": "nothing separates instances",
        "d": "probabilities lie within 0 and 1, found 3",
    }.items():
        (sentence,) = (one for one in said.split("error: ") if f"{name}.npy:" in one)
        assert reason in sentence
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "b.npy",
        "provenance.json",
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--output", "o"], "--output: segments volumes; name them with --input"),
        (["--parameters", "p"], "--parameters: segments volumes"),
        (["--input", "i", "--probabilities", "p"], "stands in place of --input; leave one out"),
        (["--input", "i", "--boundary", "b"], "--boundary: belongs to the choice of parameters"),
        (["--input", "i", "--foreground", "b"], "--foreground: belongs to the choice"),
        (["--input", "i", "--labels", "b"], "--labels: belongs to the choice of parameters"),
        (["--input", "i", "--output", "o"], "--run: --input needs the runs that predict it"),
        (["--input", "i", "--model", "m", "--run", "r"], "--model: names the networks that"),
        (["--probabilities", "p", "--model", "m"], "--model: names the networks that predict"),
        (["--input", "i", "--model", "m", "--output", "o"], "--parameters: --model needs an"),
        (["--probabilities", "p"], "--output: needs a folder for the instances"),
        (["--best", "b", "--run", "r"], "--run: --best names runs and checkpoints itself"),
        (["--best", "b", "--input", "i", "--checkpoint", "ema"], "--checkpoint: --best names"),
        (["--best", "b", "--input", "i", "--model", "m"], "--model: names the networks that"),
        (["--probabilities", "p", "--output", "o"], "--parameters: name an instances.json"),
        (["--probabilities", "p", "--checkpoint", "ema"], "--checkpoint: names the one that"),
        ([], "--run: needs at least one run folder"),
        (["--dry-run"], "--run: needs at least one run folder"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    words: list[str], sentence: str, refused: Refused
) -> None:
    assert sentence in " ".join(refused("instances", *words).split())


def test_a_run_without_parameters_names_the_call_that_chooses_them(
    folder: RunFolder, tmp_path: Path, refused: Refused
) -> None:
    said = refused("instances", "--run", folder.path, "--input", tmp_path, "--output",
                   tmp_path / "o")  # fmt: skip

    assert f"no such file; vesuv instances --run {folder.path} writes it" in " ".join(said.split())


def test_a_pretrained_run_is_refused_because_it_predicts_nothing(
    folder: RunFolder, tmp_path: Path, refused: Refused
) -> None:
    text = folder.config_file.read_text()
    folder.config_file.write_text(text.replace("task: segmentation", "task: reconstruction"))

    said = refused("instances", "--run", folder.path, "--input", tmp_path, "--output",
                   tmp_path / "o")  # fmt: skip

    assert "was pre-trained without labels and predicts none" in " ".join(said.split())


def test_runs_with_different_parameters_are_refused(
    folder: RunFolder, tmp_path: Path, refused: Refused
) -> None:
    shutil.copytree(folder.path, tmp_path / "other")
    write_json(folder.instances_file, {"parameters": CHOSEN})
    write_json(tmp_path / "other/instances.json", {"parameters": {}})

    said = refused("instances", "--run", folder.path, tmp_path / "other", "--input", tmp_path,
                   "--output", tmp_path / "o")  # fmt: skip

    assert "runs that predict together have one choice" in " ".join(said.split())


def test_parameters_for_another_class_are_refused(
    folder: RunFolder, tiny_data: Path, parameters: Path, tmp_path: Path, refused: Refused
) -> None:
    said = refused("instances", "--run", folder.path, "--parameters", parameters, "--input",
                   tiny_data / "train_images", "--output", tmp_path / "o")  # fmt: skip

    assert "predicts sheet, and the parameters are for the boundary membrane" in " ".join(
        said.split()
    )


def test_a_choice_of_boundary_and_foreground_at_once_is_refused(
    folder: RunFolder, refused: Refused
) -> None:
    said = refused("instances", "--run", folder.path, "--boundary", "sheet", "--foreground",
                   "sheet", "--dry-run")  # fmt: skip

    assert "--foreground: excludes --boundary; name one of them" in " ".join(said.split())


def test_a_foreground_without_its_threshold_is_refused(tmp_path: Path, refused: Refused) -> None:
    write(tmp_path / "a.npy", PHANTOM.probs)
    write_json(tmp_path / "p.json", {"parameters": CHOSEN, "foreground": "nucleus"})

    said = refused("instances", "--probabilities", tmp_path / "a.npy", "--parameters",
                   tmp_path / "p.json", "--output", tmp_path / "o")  # fmt: skip

    assert "foreground_threshold and foreground belong together" in " ".join(said.split())


def test_probabilities_with_other_channels_are_refused(
    tmp_path: Path, parameters: Path, refused: Refused
) -> None:
    write(tmp_path / "a.npy", np.zeros((3, 4, 5, 6), np.float32))

    said = refused("instances", "--probabilities", tmp_path / "a.npy", "--parameters", parameters,
                   "--output", tmp_path / "o")  # fmt: skip

    said = " ".join(said.split())
    assert "must hold the probability of membrane in one channel, found 3" in said
    assert not (tmp_path / "o").exists()


def test_a_folder_of_masks_or_of_the_inputs_is_not_written_into(
    tmp_path: Path, parameters: Path, refused: Refused
) -> None:
    write(tmp_path / "in/a.npy", PHANTOM.probs)
    words = ("instances", "--probabilities", tmp_path / "in/a.npy", "--parameters", parameters)
    (tmp_path / "masks").mkdir()
    write_json(tmp_path / "masks/provenance.json", {"threshold": {}})

    assert "holds the inputs; name another" in " ".join(
        refused(*words, "--output", tmp_path / "in").split()
    )
    assert "holds masks of another command" in " ".join(
        refused(*words, "--output", tmp_path / "masks").split()
    )


def test_a_missing_extra_is_named(
    tmp_path: Path, parameters: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    write(tmp_path / "a.npy", PHANTOM.probs)

    said = refused("instances", "--probabilities", tmp_path / "a.npy", "--parameters", parameters,
                   "--output", tmp_path / "o")  # fmt: skip

    assert "pip install 'vesuv[instances]'" in " ".join(said.split())
    assert not (tmp_path / "o").exists()

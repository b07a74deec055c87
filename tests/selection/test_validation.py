from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

import vesuv
from tests.inference.conftest import predict_files
from tests.selection.conftest import held_out_images, score_files
from vesuv.config import dump_config
from vesuv.data.builder import open_or_prepare_store
from vesuv.errors import InputError
from vesuv.runs.checkpoints import read_checkpoint, write_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.selection.choice import Choice
from vesuv.selection.validation import validate_distribution

STEPS = (
    "selection.hysteresis=[[0.3, 0.7]]",
    "selection.postprocess=[[{name: remove_small, voxels: 20}]]",
)


@pytest.fixture
def run(trained_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the trained run that a test may change; the prepared data stay shared."""
    copy = tmp_path / "run"
    shutil.copytree(trained_run.path, copy)
    return RunFolder(copy)


def _select(run: RunFolder, *checkpoints: str, changes: Sequence[str] = ()) -> Choice:
    validation = validate_distribution([run.path], checkpoints=checkpoints, changes=changes)
    return validation.result.chosen


def _rows(run: RunFolder) -> list[dict[str, str]]:
    with (run.path / "distribution" / "cases.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_choice_predicts_masks_with_the_very_scores_it_was_chosen_for(
    run: RunFolder, tiny_data: Path, tmp_path: Path
) -> None:
    selected = _select(run)

    predict_files([run.path], held_out_images(run, tiny_data, tmp_path), tmp_path / "out")
    summary = score_files(tmp_path / "out", tiny_data / "train_labels", run)
    chosen = {
        row["id"]: row
        for row in _rows(run)
        if row["checkpoint"] == selected.checkpoint
        and float(row["threshold"]) == selected.threshold
    }
    with (tmp_path / "out" / "scores.csv").open(newline="") as file:
        scored = {row["id"]: row for row in csv.DictReader(file)}
    assert scored.keys() == chosen.keys() == set(run.facts.validation_cases)
    for name, row in scored.items():
        assert {key: chosen[name][key] for key in row} == row
    written = json.loads((run.path / "selected.json").read_text())
    assert written["dice"] == pytest.approx(summary["mean"]["dice"], abs=1e-12)
    record = run.selected_model()
    assert record is not None
    assert (record.checkpoint, record.threshold) == (selected.checkpoint, selected.threshold)
    assert record.postprocess == selected.postprocess


def test_everything_is_written_and_versioned(run: RunFolder) -> None:
    validate_distribution([run.path], checkpoints=["best"])

    folder = run.path / "distribution"
    assert (folder / "histogram.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((folder / "summary.json").read_text())
    selected = json.loads((run.path / "selected.json").read_text())
    thresholds = run.config.selection.thresholds
    assert summary["version"] == selected["version"] == 1
    assert summary["cases"] == list(run.facts.validation_cases)
    assert [choice["threshold"] for choice in summary["choices"]] == list(thresholds)
    assert len(summary["pooled"]) == len(thresholds)
    assert {**summary["selected"], "version": 1} == selected
    assert selected["why"].startswith(f"best at threshold {selected['threshold']:g}: ")
    assert len(_rows(run)) == len(thresholds) * len(run.facts.validation_cases)
    assert {row["group"] for row in _rows(run)} <= {"0", "1"}


def test_equal_weights_are_measured_once(run: RunFolder) -> None:
    shutil.copy(run.checkpoint("ema"), run.checkpoint("swa"))
    sentences: list[str] = []

    validate_distribution([run.path], checkpoints=["ema", "swa"], say=sentences.append)

    assert sentences == ["swa: the same weights as ema, not measured again"]
    assert {row["checkpoint"] for row in _rows(run)} == {"ema"}
    summary = json.loads((run.path / "distribution" / "summary.json").read_text())
    assert summary["same_weights"] == {"swa": "ema"}


def test_a_page_that_cannot_be_written_is_named_after_the_choice_is_saved(run: RunFolder) -> None:
    run.page.unlink(missing_ok=True)
    run.page.mkdir()

    with pytest.raises(InputError, match=r"/report\.html: cannot be written \(Is a directory\)"):
        validate_distribution([run.path], checkpoints=["best"])

    assert run.selected_model() is not None


def test_a_network_that_predicts_everything_loses_against_one_that_does_not(
    run: RunFolder,
) -> None:
    checkpoint = read_checkpoint(run.checkpoint("best"))
    weights = dict(checkpoint.model)
    weights["output.bias"] = torch.full_like(weights["output.bias"], 50.0)
    write_checkpoint(
        run.checkpoint("epoch_0001"),
        model=weights,
        config=checkpoint.config,
        normalizer=checkpoint.normalizer,
        epoch=1,
        measure=None,
    )

    assert _select(run, "epoch_0001", "best").checkpoint == "best"


def test_other_windows_than_in_the_configuration_are_recorded(run: RunFolder) -> None:
    _select(run, "best", changes=("inference.overlap=0.0", "inference.views=mirror"))

    inference = json.loads((run.path / "selected.json").read_text())["inference"]
    assert (inference["overlap"], inference["views"]) == (0.0, "mirror")


def test_the_precision_of_the_selection_is_that_of_the_prediction(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vesuv.runtime.machine.cpu_has_bfloat16", lambda: True)

    _select(run, "best", changes=("runtime.precision=auto",))

    assert run.config.runtime.precision == "float32"
    inference = json.loads((run.path / "selected.json").read_text())["inference"]
    assert inference["precision"] == "bfloat16"
    assert vesuv.load(run.path).machine.precision == "bfloat16"


def test_a_run_on_every_case_has_nothing_to_validate_on(run: RunFolder) -> None:
    facts = json.loads((run.path / "run.json").read_text())
    facts |= {"fold": "all", "validation_cases": []}
    (run.path / "run.json").write_text(json.dumps(facts))

    with pytest.raises(InputError, match=r"trained on every case \(--fold all\)"):
        validate_distribution([run.path])


def test_other_data_than_trained_on_are_refused(run: RunFolder) -> None:
    facts = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(facts | {"data_fingerprint": "other"}))

    with pytest.raises(InputError, match=r"was trained on other data than .*store holds now"):
        validate_distribution([run.path])


def test_a_run_without_checkpoints_is_refused(run: RunFolder) -> None:
    shutil.rmtree(run.path / "checkpoints")

    with pytest.raises(InputError, match=r"holds no checkpoint yet; train it first"):
        validate_distribution([run.path])
    with pytest.raises(InputError, match=r"must be one of none, asked for 'swa'"):
        validate_distribution([run.path], checkpoints=["swa"])


def test_cases_without_a_judged_voxel_cannot_select(
    run: RunFolder, tiny_data: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    for name in run.facts.validation_cases:
        label = np.full((32, 32, 32), 2, dtype=np.uint8)
        tifffile.imwrite(data / "train_labels" / f"{name}.tif", label)
    config = run.config
    moved = config.data.model_copy(update={"root": str(data), "store": str(tmp_path / "store")})
    run.config_file.write_text(dump_config(config.model_copy(update={"data": moved})))
    facts = json.loads((run.path / "run.json").read_text())
    fingerprint = open_or_prepare_store(run.config).fingerprint
    (run.path / "run.json").write_text(json.dumps(facts | {"data_fingerprint": fingerprint}))

    with pytest.raises(InputError, match=r"every voxel of its validation cases is ignored"):
        validate_distribution([run.path])


def _no_prediction(*_: object) -> None:
    raise AssertionError("predicted again")


def test_probabilities_are_predicted_once_and_again_after_more_training(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _select(run, "best")
    before = (run.path / "selected.json").read_text()
    network = read_checkpoint(run.checkpoint("last"))
    monkeypatch.setattr("vesuv.selection.held_out.Predictor", _no_prediction)
    sentences: list[str] = []

    again = validate_distribution([run.path], checkpoints=["best"], say=sentences.append)

    assert again.result.chosen == first
    assert (run.path / "selected.json").read_text() == before
    assert sentences == [f"{run.path}: best: 2 of 2 cases were predicted before"]
    write_checkpoint(
        run.checkpoint("best"),
        model=network.model,
        config=network.config,
        normalizer=network.normalizer,
        epoch=9,
        measure=None,
    )
    with pytest.raises(AssertionError, match="predicted again"):
        _select(run, "best")
    for change in ("overlap=0.0", "views=mirror", "batch_size=2"):
        with pytest.raises(AssertionError, match="predicted again"):
            _select(run, "ema", changes=[f"inference.{change}"])


def test_a_chain_that_is_chosen_makes_the_masks_it_was_chosen_for(
    run: RunFolder, tiny_data: Path, tmp_path: Path
) -> None:
    only = "selection.thresholds=[0.05]"  # so low that specks are certain

    selected = _select(run, "best", changes=(*STEPS, only, "selection.tolerance=1.0"))

    assert selected.postprocess
    predict_files([run.path], held_out_images(run, tiny_data, tmp_path), tmp_path / "out")
    summary = score_files(tmp_path / "out", tiny_data / "train_labels", run)
    written = json.loads((run.path / "selected.json").read_text())
    assert written["dice"] == pytest.approx(summary["mean"]["dice"], abs=1e-12)
    assert written["margin"]["dice"] >= 0.0
    assert {row["group"] for row in written["groups"]} <= {"0", "1"}
    assert written["honest"]["left_out"] in ("group", "case")


@pytest.fixture
def folds(run: RunFolder, tmp_path: Path) -> list[RunFolder]:
    """Two runs that hold out the two halves of the cases; the second is a copy of the first."""
    return [run, _other_fold(run, run.path.parent / "run_1")]


def _other_fold(run: RunFolder, path: Path) -> RunFolder:
    shutil.copytree(run.path, path)
    facts = json.loads((run.path / "run.json").read_text())
    others = sorted({"c0", "c1", "c2", "c3"} - set(run.facts.validation_cases))
    (path / "run.json").write_text(json.dumps(facts | {"fold": 1, "validation_cases": others}))
    return RunFolder(path)


def test_several_folds_get_one_joint_choice(folds: list[RunFolder]) -> None:
    validation = validate_distribution([run.path for run in folds], checkpoints=["best"])

    selected = validation.result.chosen
    records = [run.selected_model() for run in folds]
    assert validation.runs == tuple(folds)
    assert records[0] == records[1] and records[0] is not None
    assert (records[0].checkpoint, records[0].threshold) == ("best", selected.threshold)
    table = folds[0].path.parent / "distribution"
    assert validation.folder == table
    summary = json.loads((table / "summary.json").read_text())
    assert sorted(summary["cases"]) == ["c0", "c1", "c2", "c3"]
    assert summary["folds"] == [0, 1]
    assert summary["selected"]["honest"]["left_out"] == "fold"
    assert [one["left_out"] for one in summary["selected"]["honest"]["rounds"]] == ["0", "1"]
    with (table / "cases.csv").open(newline="") as file:
        rows = [
            row for row in csv.DictReader(file) if float(row["threshold"]) == selected.threshold
        ]
    joint = sum(float(row["dice"]) for row in rows) / 4
    assert summary["selected"]["dice"] == pytest.approx(joint, abs=1e-6)
    assert all((table / name).is_file() for name in ("curves.png", "calibration.png"))


def test_runs_that_hold_out_the_same_case_are_refused(run: RunFolder) -> None:
    twin = run.path.parent / "twin"
    shutil.copytree(run.path, twin)

    with pytest.raises(InputError, match=r"twin: holds out case c\d as .*run does"):
        validate_distribution([run.path, twin])


def test_folds_of_other_regions_have_no_joint_choice(
    held_out_run: Callable[..., RunFolder],
) -> None:
    first = held_out_run("a", cases=["c0"])
    labels = first.config.labels.model_dump(mode="json")
    regions = {"all of it": [first.config.labels.names[1]]}
    other = held_out_run("a", fold=1, cases=["c1"], labels={**labels, "regions": regions})

    with pytest.raises(InputError, match=r"fold_1: has other classes or regions than .*fold_0"):
        validate_distribution([first.path, other.path])


def test_runs_of_several_folders_are_not_one_configuration(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folds of one configuration lie in one folder, found 2"):
        validate_distribution([run.path, tmp_path / "other" / "fold_1"])
    with pytest.raises(InputError, match="needs at least one run folder"):
        validate_distribution([])


def test_what_a_network_was_trained_with_cannot_be_changed_afterwards(run: RunFolder) -> None:
    with pytest.raises(InputError, match=r"--set model.filters=8: a trained run takes changes of"):
        validate_distribution([run.path], changes=("model.filters=8",))


def test_folds_without_a_checkpoint_in_common_are_refused(folds: list[RunFolder]) -> None:
    for name in ("best", "last", "ema"):
        folds[1].checkpoint(name).rename(folds[1].checkpoint(f"epoch_{name}"))

    with pytest.raises(InputError, match="have no checkpoint of the same name"):
        validate_distribution([run.path for run in folds])


def _calibration_error(
    run: RunFolder, data: Path, cases: Sequence[str], *, calibrated: bool
) -> float:
    """Expected calibration error of what the library predicts, by plain NumPy over 15 bins."""
    predictor = vesuv.load(run.path)
    probs, inside = [], []
    for name in cases:
        image = tifffile.imread(data / f"train_images/{name}.tif")
        label = tifffile.imread(data / f"train_labels/{name}.tif")
        (foreground,) = predictor.predict(image, calibrated=calibrated)
        if not calibrated:
            foreground = (np.floor(foreground * np.float32(200)) + 0.5) / 200
        probs.append(foreground[label != 2].astype(np.float64))
        inside.append(label[label != 2] == 1)
    p, y = np.concatenate(probs), np.concatenate(inside)
    bins = np.minimum((p * 15).astype(int), 14)
    return sum(abs((p - y)[bins == number].sum()) for number in range(15)) / len(p)


def test_calibrated_predictions_have_the_very_error_that_the_selection_states(
    run: RunFolder, tiny_data: Path
) -> None:
    validation = validate_distribution([run.path], checkpoints=["best"])

    calibration = json.loads((run.path / "selected.json").read_text())["calibration"]
    cases = run.facts.validation_cases
    assert calibration == validation.calibration.plain()
    assert calibration["temperature"] != 1.0
    for key, calibrated in (("error_before", False), ("error", True)):
        error = _calibration_error(run, tiny_data, cases, calibrated=calibrated)
        assert calibration[key] == pytest.approx(error, abs=1e-6)
    summary = json.loads((run.path / "distribution/summary.json").read_text())
    assert summary["calibration"]["error"] == pytest.approx(calibration["error_before"], abs=1e-6)


def test_the_honest_error_is_that_of_temperatures_chosen_without_the_part(
    run: RunFolder, tiny_data: Path
) -> None:
    validate_distribution([run.path], checkpoints=["best"])
    selected = json.loads((run.path / "selected.json").read_text())
    (first, second) = selected["calibration"]["honest"]["rounds"]
    assert {first["left_out"], second["left_out"]} == {"0", "1"}  # groups of one case each
    assert first["temperature"] != second["temperature"]

    with (tiny_data / "train.csv").open(newline="") as file:
        groups = {row["id"]: row["scroll_id"] for row in csv.DictReader(file)}
    for one in (first, second):
        cases = [c for c in run.facts.validation_cases if groups[c] == one["left_out"]]
        selected["calibration"]["temperature"] = one["temperature"]
        (run.path / "selected.json").write_text(json.dumps(selected))
        error = _calibration_error(run, tiny_data, cases, calibrated=True)
        assert one["error"] == pytest.approx(error, abs=1e-6)

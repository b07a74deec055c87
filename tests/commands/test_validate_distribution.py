from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from vesuv.commands.evaluate import evaluate
from vesuv.commands.predict import predict
from vesuv.commands.validate_distribution import validate_distribution
from vesuv.config import dump_config
from vesuv.errors import InputError
from vesuv.training.checkpoints import read_checkpoint, write_checkpoint
from vesuv.training.run import RunFolder


@pytest.fixture
def run(trained_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A copy of the trained run that a test may change; the prepared data stay shared."""
    copy = tmp_path / "run"
    shutil.copytree(trained_run.path, copy)
    return RunFolder(copy)


def _rows(run: RunFolder) -> list[dict[str, str]]:
    with (run.path / "distribution" / "cases.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_choice_predicts_masks_with_the_very_scores_it_was_chosen_for(
    run: RunFolder, tiny_data: Path, tmp_path: Path
) -> None:
    selected = validate_distribution(run.path)

    held_out = tmp_path / "held_out"
    held_out.mkdir()
    for name in run.validation_cases:
        shutil.copy(tiny_data / "train_images" / f"{name}.tif", held_out)
    predict([run.path], held_out, tmp_path / "out")
    summary = evaluate(tmp_path / "out", tiny_data / "train_labels", run=run.path)
    chosen = {
        row["id"]: row
        for row in _rows(run)
        if row["checkpoint"] == selected.checkpoint
        and float(row["threshold"]) == selected.threshold
    }
    with (tmp_path / "out" / "scores.csv").open(newline="") as file:
        found = {row["id"]: row for row in csv.DictReader(file)}
    assert found.keys() == chosen.keys() == set(run.validation_cases)
    for name, row in found.items():
        assert {key: chosen[name][key] for key in row} == row
    written = json.loads((run.path / "selected.json").read_text())
    assert written["dice"] == pytest.approx(summary["mean"]["dice"], abs=1e-12)
    assert run.selected() == selected


def test_everything_is_written_and_versioned(run: RunFolder) -> None:
    validate_distribution(run.path, checkpoints=["best"])

    folder = run.path / "distribution"
    assert (folder / "histogram.png").read_bytes().startswith(b"\x89PNG")
    summary = json.loads((folder / "summary.json").read_text())
    selected = json.loads((run.path / "selected.json").read_text())
    thresholds = run.config.selection.thresholds
    assert summary["version"] == selected["version"] == 1
    assert summary["cases"] == run.validation_cases
    assert [choice["threshold"] for choice in summary["choices"]] == list(thresholds)
    assert len(summary["pooled"]) == len(thresholds)
    assert {**summary["selected"], "version": 1} == selected
    assert selected["why"].startswith(f"best at threshold {selected['threshold']:g}: ")
    assert len(_rows(run)) == len(thresholds) * len(run.validation_cases)
    assert {row["group"] for row in _rows(run)} <= {"0", "1"}


def test_equal_weights_are_measured_once(run: RunFolder, capsys) -> None:
    shutil.copy(run.checkpoint("ema"), run.checkpoint("swa"))

    validate_distribution(run.path, checkpoints=["ema", "swa"])

    assert "swa: the same weights as ema, not measured again" in capsys.readouterr().out
    assert {row["checkpoint"] for row in _rows(run)} == {"ema"}
    summary = json.loads((run.path / "distribution" / "summary.json").read_text())
    assert summary["same_weights"] == {"swa": "ema"}


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

    selected = validate_distribution(run.path, checkpoints=["epoch_0001", "best"])

    assert selected.checkpoint == "best"


def test_other_windows_than_in_the_configuration_are_recorded(run: RunFolder) -> None:
    validate_distribution(run.path, checkpoints=["best"], overlap=0.0, mirror=True, device="cpu")

    inference = json.loads((run.path / "selected.json").read_text())["inference"]
    assert (inference["overlap"], inference["mirror"]) == (0.0, True)


def test_a_run_on_every_case_has_nothing_to_validate_on(run: RunFolder) -> None:
    facts = json.loads((run.path / "run.json").read_text())
    facts |= {"fold": "all", "validation_cases": []}
    (run.path / "run.json").write_text(json.dumps(facts))

    with pytest.raises(InputError, match=r"trained on every case \(--fold all\)"):
        validate_distribution(run.path)


def test_other_data_than_trained_on_are_refused(run: RunFolder) -> None:
    facts = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(facts | {"data_fingerprint": "other"}))

    with pytest.raises(InputError, match=r"was trained on other data than .*store holds now"):
        validate_distribution(run.path)


def test_a_run_without_checkpoints_is_refused(run: RunFolder) -> None:
    shutil.rmtree(run.checkpoint_folder)

    with pytest.raises(InputError, match=r"holds no checkpoint yet; train it first"):
        validate_distribution(run.path)
    with pytest.raises(InputError, match=r"must be one of none, asked for 'swa'"):
        validate_distribution(run.path, checkpoints=["swa"])


def test_cases_without_a_judged_voxel_cannot_select(
    run: RunFolder, tiny_data: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    for name in run.validation_cases:
        label = np.full((32, 32, 32), 2, dtype=np.uint8)
        tifffile.imwrite(data / "train_labels" / f"{name}.tif", label)
    config = run.config
    moved = config.data.model_copy(update={"root": str(data), "store": str(tmp_path / "store")})
    run.config_file.write_text(dump_config(config.model_copy(update={"data": moved})))
    facts = json.loads((run.path / "run.json").read_text())
    from vesuv.commands.prepare import open_prepared

    fingerprint = open_prepared(run.config).fingerprint
    (run.path / "run.json").write_text(json.dumps(facts | {"data_fingerprint": fingerprint}))

    with pytest.raises(InputError, match=r"every voxel of its validation cases is ignored"):
        validate_distribution(run.path)

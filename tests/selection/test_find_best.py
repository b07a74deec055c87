from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.inference.conftest import predict_files
from tests.selection.conftest import held_out_images, score_files
from vesuv.data.builder import open_or_prepare_store
from vesuv.errors import InputError
from vesuv.inference.best_file import open_best
from vesuv.inference.load import load
from vesuv.inference.predictor import Predictor
from vesuv.runs.checkpoints import read_checkpoint, write_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.selection.find_best import _check_comparable, find_best
from vesuv.selection.held_out import open_held_out


@pytest.fixture
def runs(trained_run: RunFolder, tmp_path: Path) -> list[RunFolder]:
    """Two configurations of one fold each: the trained one, and one whose output is shifted."""
    runs = []
    for name, shift in (("a", 0.0), ("b", -1.0)):
        path = tmp_path / name / "fold_0"
        shutil.copytree(trained_run.path, path)
        run = RunFolder(path)
        checkpoint = read_checkpoint(run.checkpoint("best"))
        weights = dict(checkpoint.model)
        weights["output.bias"] = weights["output.bias"] + shift
        weights["output.weight"] = weights["output.weight"] * (1.0 + shift / 4)
        write_checkpoint(
            run.checkpoint("best"),
            model=weights,
            config=checkpoint.config,
            normalizer=checkpoint.normalizer,
            epoch=3,
            measure=None,
        )
        runs.append(run)
    return runs


def test_the_file_holds_the_best_of_singles_and_ensemble_and_a_table_of_all(
    runs: list[RunFolder], tmp_path: Path
) -> None:
    output = tmp_path / "results" / "best.json"

    comparison = find_best([run.path for run in runs], output, checkpoints=["best"])

    best = json.loads(output.read_text())
    assert best["version"] == 1
    assert {row["system"] for row in best["table"]} == {"a", "b", "a + b"}
    assert best["table"] == comparison.rows()
    assert best["name"] == best["table"][0]["system"] == comparison.ranking[0].name
    assert best["dice"] == max(row["dice"] for row in best["table"] if row["gap"] <= 0.05)
    assert best["margin"]["over"] == best["table"][1]["system"]
    assert best["honest"]["left_out"] in ("group", "case")
    predictors = [Predictor.of_members(open_best(output)), load(runs[0].path)]
    assert predictors[0].temperatures == (best["calibration"]["temperature"],)
    assert predictors[1].temperatures is None
    parts = best["name"].split(" + ")
    assert [Path(member["run"]).parent.name for member in best["members"]] == parts
    with output.with_suffix(".csv").open(newline="") as file:
        assert [row["system"] for row in csv.DictReader(file)] == [
            row["system"] for row in best["table"]
        ]


def test_predict_takes_the_file_and_makes_masks_of_the_very_score(
    runs: list[RunFolder], tiny_data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "best.json"
    find_best([runs[0].path], output, checkpoints=["best"])
    held_out = held_out_images(runs[0], tiny_data, tmp_path)

    predict_files([], held_out, tmp_path / "out", best=output)

    summary = score_files(tmp_path / "out", tiny_data / "train_labels", runs[0])
    assert json.loads(output.read_text())["dice"] == pytest.approx(
        summary["mean"]["dice"], abs=1e-12
    )


def test_an_ensemble_predicts_masks_of_the_very_score_that_it_was_judged_by(
    runs: list[RunFolder], tiny_data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "best.json"
    find_best([run.path for run in runs], output, checkpoints=["best"])
    best = json.loads(output.read_text())
    (row,) = [row for row in best["table"] if row["system"] == "a + b"]
    members = [
        {"run": str(run.path), "checkpoint": "best", "checkpoint_sha256": "x"} for run in runs
    ]
    threshold = float(row["chosen"].split("threshold ")[1])
    output.write_text(
        json.dumps({**best, "members": members, "threshold": threshold, "postprocess": []})
    )

    predict_files([], held_out_images(runs[0], tiny_data, tmp_path), tmp_path / "out", best=output)

    summary = score_files(tmp_path / "out", tiny_data / "train_labels", runs[0])
    assert row["dice"] == pytest.approx(summary["mean"]["dice"], abs=1e-12)


def test_an_ensemble_is_scored_on_the_mean_of_probabilities_as_predict_averages_them(
    held_out_run: Callable[..., RunFolder], tiny_data: Path, tmp_path: Path
) -> None:
    # (0.1301 + 0.4651) / 2 lies below 0.3, the mean of the middles of their steps does not
    runs = [
        held_out_run(name, logits=[math.log(p / (1 - p))])
        for name, p in (("a", 0.1301), ("b", 0.4651))
    ]
    changes = ["selection.thresholds=[0.3]", "selection.tolerance=1.0"]

    output = tmp_path / "best.json"
    comparison = find_best([run.path for run in runs], output, changes=changes)

    rows = {row["system"]: row for row in comparison.rows()}
    assert [rows[name]["predicted_fraction"] for name in ("a", "b", "a + b")] == [0.0, 1.0, 0.0]
    held_out = held_out_images(runs[0], tiny_data, tmp_path)
    predict_files([run.path for run in runs], held_out, tmp_path / "out", threshold=0.3)
    for file in (tmp_path / "out").glob("*.tif"):
        assert not tifffile.imread(file).any()


def _dice(mask: np.ndarray, label: np.ndarray) -> float:
    mask, label = mask[label != 2] == 1, label[label != 2] == 1
    return 2 * int((mask & label).sum()) / int(mask.sum() + label.sum())


def test_what_cannot_be_averaged_is_compared_and_left_out_of_the_ensembles_with_a_sentence(
    held_out_run: Callable[..., RunFolder], tiny_data: Path, tmp_path: Path
) -> None:
    runs = [held_out_run("a", seed=1), held_out_run("b", seed=2)]
    data = runs[0].config.data.model_dump(mode="json")
    coarse = data | {"spacing": [2.0, 1.0, 1.0], "store": str(tmp_path / "coarse")}
    for name, seed in (("c", 3), ("d", 4)):
        run = held_out_run(name, seed=seed, data=coarse)
        facts = json.loads((run.path / "run.json").read_text())
        facts["data_fingerprint"] = open_or_prepare_store(run.config).fingerprint
        (run.path / "run.json").write_text(json.dumps(facts))
        runs.append(run)
    runs.append(held_out_run("e", seed=5, model__out_channels=2))
    sentences: list[str] = []

    output = tmp_path / "best.json"
    changes = ["selection.thresholds=[0.3]", "selection.tolerance=1.0"]
    comparison = find_best(
        [run.path for run in runs[:3]], output, changes=changes, say=sentences.append
    )
    assert sentences == [
        "a + c: differ in data.spacing, not averaged",
        "b + c: differ in data.spacing, not averaged",
        "a + b + c: differ in data.spacing, not averaged",
    ]
    assert {one.name for one in comparison.ranking} == {"a", "b", "c", "a + b"}
    chosen = [runs[number].path for number in (0, 4)]
    comparison = find_best(chosen, output, changes=changes, say=sentences.append)
    assert sentences[-1] == "a + e: differ in model.out_channels, not averaged"
    assert {one.name for one in comparison.ranking} == {"a", "e"}

    # coarse configurations are judged, alone and averaged, on the files' own grid
    comparison = find_best([run.path for run in runs[:4]], output, changes=changes)
    dice = {row["system"]: row["dice"] for row in comparison.rows()}
    assert set(dice) == {"a", "b", "c", "d", "a + b", "c + d"}
    held_out = held_out_images(runs[0], tiny_data, tmp_path)
    for name, some in {"c": runs[2:3], "a + b": runs[:2], "c + d": runs[2:4]}.items():
        output = tmp_path / name
        predict_files([run.path for run in some], held_out, output, threshold=0.3)
        labels = [tiny_data / "train_labels" / file.name for file in output.glob("*.tif")]
        written = [_dice(tifffile.imread(output / f.name), tifffile.imread(f)) for f in labels]
        assert dice[name] == pytest.approx(np.mean(written), abs=1e-12)


def _stable(best: dict[str, Any]) -> dict[str, Any]:
    """What does not name the runs' order."""
    return {key: best[key] for key in ("table", "margin", "groups", "honest", "dice", "name")}


def test_the_order_in_which_the_folds_are_named_changes_nothing(
    held_out_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    folds: dict[str, list[Path]] = {"a": [], "b": []}
    # other thresholds suit a's folds than b's, so that the choice on the rest depends on the rest
    for name, fold, seed in (("a", 0, 0), ("a", 1, 1), ("b", 0, 2), ("b", 1, 3)):
        cases = (("c0", "c1"), ("c2", "c3"))[fold]
        run = held_out_run(name, fold, cases, seed=seed, sampling__patch_size=[32, 32, 32])
        folds[name].append(run.path)
    output = tmp_path / "best.json"

    def compare(runs: Sequence[Path]) -> dict[str, Any]:
        find_best(runs, output, changes=["selection.tolerance=1.0"])
        return _stable(json.loads(output.read_text()))

    best = compare([*folds["a"], *folds["b"]])

    assert best["honest"]["left_out"] == "fold"
    assert compare([*folds["a"], *reversed(folds["b"])]) == best


def test_configurations_that_hold_out_other_cases_cannot_be_compared(
    runs: list[RunFolder], tmp_path: Path
) -> None:
    facts = json.loads((runs[1].path / "run.json").read_text())
    facts["validation_cases"] = facts["validation_cases"][:1]
    (runs[1].path / "run.json").write_text(json.dumps(facts))

    with pytest.raises(InputError, match=r"b: holds out other cases than a \(only one of them: c"):
        find_best([run.path for run in runs], tmp_path / "best.json")


def test_configurations_of_other_data_cannot_be_compared(
    held_out_run: Callable[..., RunFolder], tiny_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_data, tmp_path / "data")
    images = tmp_path / "data" / "train_images"
    tifffile.imwrite(images / "c0.tif", tifffile.imread(images / "c0.tif")[::-1])
    first = held_out_run("a")
    data = first.config.data.model_dump(mode="json")
    other = held_out_run(
        "b", data=data | {"root": str(tmp_path / "data"), "store": str(tmp_path / "other")}
    )
    facts = json.loads((other.path / "run.json").read_text())
    facts["data_fingerprint"] = open_or_prepare_store(other.config).fingerprint
    (other.path / "run.json").write_text(json.dumps(facts))

    with pytest.raises(InputError, match="b: was trained on other files or label values than a"):
        find_best([first.path, other.path], tmp_path / "best.json")


def test_copies_of_a_data_set_with_other_times_are_one_data_set(
    held_out_run: Callable[..., RunFolder], tiny_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_data, tmp_path / "data", copy_function=shutil.copyfile)
    first = held_out_run("a")
    data = first.config.data.model_dump(mode="json")
    place = {"root": str(tmp_path / "data"), "store": str(tmp_path / "other")}
    other = held_out_run("b", data=data | place)
    store = open_or_prepare_store(other.config)
    facts = json.loads((other.path / "run.json").read_text())
    facts["data_fingerprint"] = store.fingerprint
    (other.path / "run.json").write_text(json.dumps(facts))

    runs = open_held_out([first.path])
    _check_comparable({"a": runs, "b": open_held_out([other.path])})
    (store.path / "digests.json").unlink()
    with pytest.raises(InputError, match="b: was trained on other files or label values than a"):
        _check_comparable({"a": runs, "b": open_held_out([other.path])})


def test_nothing_to_compare_and_a_file_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs at least one run folder"):
        find_best([], tmp_path / "best.json")
    with pytest.raises(InputError, match=r"--output: must end in .json, found .*best.yaml"):
        find_best([tmp_path], tmp_path / "best.yaml")


def test_configurations_of_other_regions_cannot_be_compared(
    held_out_run: Callable[..., RunFolder], tmp_path: Path
) -> None:
    first = held_out_run("a")
    labels = first.config.labels.model_dump(mode="json")
    name = first.config.labels.names[1]
    other = held_out_run("b", labels={**labels, "regions": {"all of it": [name]}})

    with pytest.raises(
        InputError, match="b: has other classes or regions than a, so its mean Dice"
    ):
        find_best([first.path, other.path], tmp_path / "best.json")

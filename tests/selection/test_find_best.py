from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from vesuv.selection.out_of_fold import FoldOptions

from vesuv.errors import InputError
from vesuv.evaluation.folders import ScoreOptions, score_folders
from vesuv.inference.files import PredictOptions, predict
from vesuv.runs.checkpoints import read_checkpoint, write_checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.selection.find_best import find_best

BEST_ONLY = FoldOptions(checkpoints=("best",))


@pytest.fixture
def runs(trained_run: RunFolder, tmp_path: Path) -> list[RunFolder]:
    """Two configurations of one fold each: the trained one, and one whose output is shifted."""
    found = []
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
        found.append(run)
    return found


def test_the_file_holds_the_best_of_singles_and_ensemble_and_a_table_of_all(
    runs: list[RunFolder], tmp_path: Path
) -> None:
    output = tmp_path / "results" / "best.json"

    assert find_best([run.path for run in runs], output, BEST_ONLY) == output

    best = json.loads(output.read_text())
    assert best["version"] == 1
    assert {row["system"] for row in best["table"]} == {"a", "b", "a + b"}
    assert best["name"] == best["table"][0]["system"]
    assert best["dice"] == max(row["dice"] for row in best["table"] if row["gap"] <= 0.05)
    assert best["margin"]["over"] == best["table"][1]["system"]
    assert best["honest"]["left_out"] in ("group", "case")
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
    find_best([runs[0].path], output, BEST_ONLY)
    held_out = tmp_path / "held_out"
    held_out.mkdir()
    for name in runs[0].validation_cases:
        shutil.copy(tiny_data / "train_images" / f"{name}.tif", held_out)

    predict([], held_out, tmp_path / "out", PredictOptions(best=output))

    summary = score_folders(
        [tmp_path / "out"],
        tiny_data / "train_labels",
        tmp_path / "out",
        ScoreOptions(runs[0].config.labels),
    ).summary
    assert json.loads(output.read_text())["dice"] == pytest.approx(
        summary["mean"]["dice"], abs=1e-12
    )


def test_an_ensemble_predicts_as_it_was_judged_to_within_a_step_of_probability(
    runs: list[RunFolder], tiny_data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "best.json"
    find_best([run.path for run in runs], output, BEST_ONLY)
    best = json.loads(output.read_text())
    (row,) = [row for row in best["table"] if row["system"] == "a + b"]
    members = [
        {"run": str(run.path), "checkpoint": "best", "checkpoint_sha256": "x"} for run in runs
    ]
    threshold = float(row["chosen"].split("threshold ")[1])
    output.write_text(
        json.dumps({**best, "members": members, "threshold": threshold, "postprocess": []})
    )
    held_out = tmp_path / "held_out"
    held_out.mkdir()
    for name in runs[0].validation_cases:
        shutil.copy(tiny_data / "train_images" / f"{name}.tif", held_out)

    predict([], held_out, tmp_path / "out", PredictOptions(best=output))

    summary = score_folders(
        [tmp_path / "out"],
        tiny_data / "train_labels",
        tmp_path / "out",
        ScoreOptions(runs[0].config.labels),
    ).summary
    assert row["dice"] == pytest.approx(summary["mean"]["dice"], abs=0.005)


def test_configurations_that_hold_out_other_cases_cannot_be_compared(
    runs: list[RunFolder], tmp_path: Path
) -> None:
    facts = json.loads((runs[1].path / "run.json").read_text())
    facts["validation_cases"] = facts["validation_cases"][:1]
    (runs[1].path / "run.json").write_text(json.dumps(facts))

    with pytest.raises(InputError, match=r"b: holds out other cases than a \(only one of them: c"):
        find_best([run.path for run in runs], tmp_path / "best.json")


def test_nothing_to_compare_and_a_file_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs at least one run folder"):
        find_best([], tmp_path / "best.json")
    with pytest.raises(InputError, match=r"--output: must end in .json, found .*best.yaml"):
        find_best([tmp_path], tmp_path / "best.yaml")

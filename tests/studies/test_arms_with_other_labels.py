"""Arms that read labels differently are scored alike: on further cases, with the first's labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.studies.conftest import FakeWorker, written
from vesuv.errors import InputError
from vesuv.evaluation import evaluate
from vesuv.inference.load import load
from vesuv.io.formats import read
from vesuv.studies.jobs import arm_configs, jobs_in_turn, prepare_data
from vesuv.studies.records import Job
from vesuv.studies.run_study import run_study
from vesuv.studies.study_file import read_study
from vesuv.studies.work import train_and_score

AS_FOREGROUND = {"labels.classes": {"background": 0, "sheet": [1, 2]}, "labels.ignore": None}


@pytest.fixture
def tree(study_tree: dict[str, Any], tiny_data: Path) -> dict[str, Any]:
    study_tree["arms"] = {"masked": {}, "as foreground": AS_FOREGROUND}
    study_tree["study"] |= {
        "folds": [0],
        "score": {"measures": ["dice"]},
        "held_out": {
            "images": str(tiny_data / "train_images"),
            "labels": str(tiny_data / "train_labels"),
        },
    }
    return study_tree


def second_job(tree: dict[str, Any], folder: Path) -> Job:
    study = read_study(written(tree, folder))
    configs = arm_configs(study)
    prepare_data(study, configs)
    return jobs_in_turn(study, folder / "out", configs, dict.fromkeys(configs, 4))[1]


def test_without_further_cases_they_are_refused(tree: dict[str, Any], tmp_path: Path) -> None:
    del tree["study"]["held_out"]

    with pytest.raises(InputError, match=r"arms.as foreground: labels: differ .*study.held_out"):
        arm_configs(read_study(written(tree, tmp_path)))


def test_other_targets_are_refused(tree: dict[str, Any], tmp_path: Path) -> None:
    tree["arms"]["as foreground"] = {"labels.classes": {"background": 0, "sheet": 1, "ink": 5}}

    with pytest.raises(InputError, match=r"must have the first arm's targets .*sheet.*ink"):
        arm_configs(read_study(written(tree, tmp_path)))


def test_arms_of_equal_labels_keep_their_validation_scores(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    study = read_study(written(study_tree, tmp_path))

    jobs = jobs_in_turn(study, tmp_path, arm_configs(study), {"today": 4})

    assert jobs[0].labels is None


def test_a_head_for_each_class_is_scored_as_one_softmax(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    study_tree["arms"] = {"softmax": {}, "heads": {"labels.regions": {"sheet": ["sheet"]}}}
    study = read_study(written(study_tree, tmp_path))

    configs = arm_configs(study)
    jobs = jobs_in_turn(study, tmp_path, configs, {"heads": 4})

    assert configs["heads"].labels.targets.overlap
    assert jobs[0].labels is None
    assert not any(change.startswith("data.store") for change in jobs[0].changes)


def test_the_page_says_how_they_were_scored(tree: dict[str, Any], tmp_path: Path) -> None:
    run_study(read_study(written(tree, tmp_path)), tmp_path / "out", FakeWorker())

    text = (tmp_path / "out/study.md").read_text()
    assert "only held_out/ is scored, with the first arm's labels" in text


@pytest.mark.slow
def test_the_second_arm_is_scored_with_the_labels_of_the_first(
    tree: dict[str, Any], tiny_data: Path, tmp_path: Path
) -> None:
    job = second_job(tree, tmp_path)

    record = train_and_score(job)

    assert set(record.scores) == {"held_out/dice"}
    for case, scores in record.cases.items():
        name = case.removeprefix("held_out/")
        image, label = (
            read(tiny_data / f"train_{part}/{name}.tif").array for part in ("images", "labels")
        )
        probs = load(job.run, checkpoint=job.checkpoint).predict(image)
        mask = (probs[0] >= 0.5).astype("uint8")
        masked = evaluate(mask, label, ["dice"], ignore=2)["dice"]
        assert scores["dice"] == pytest.approx(masked, abs=0.01)

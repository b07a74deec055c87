"""Studies whose base is of curves: a tiny detector on two wells, trained in this process."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.curves.conftest import SMALL
from tests.studies.conftest import written
from vesuv.cli.study import use_threads
from vesuv.curves.checkpoint import load_detector
from vesuv.curves.config import load_curves_config
from vesuv.curves.phantom import make_phantom
from vesuv.curves.picking import pick_log
from vesuv.curves.scores import LogPicks, score
from vesuv.curves.train import fold_logs, train_curves
from vesuv.errors import InputError, Interrupted
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import resolve
from vesuv.studies.jobs import arm_configs, jobs_in_turn, prepare_data
from vesuv.studies.processes import job_record
from vesuv.studies.records import Job, Record
from vesuv.studies.run_study import run_study
from vesuv.studies.study_file import read_study
from vesuv.studies.tables import markdown, study_page
from vesuv.studies.work import train_and_score
from vesuv.training.reporting import Listener, StepProgress

BASE = """
base: small.yaml
detector: {decoder_layers: 1}
picking: {threshold: 0.1, refine: false}
train: {epochs: 6, steps_per_epoch: 5, validate_every: 6}
scheduler: {warmup_epochs: 2}
averaging: {ema: {decay: 0.5}}
"""


class ThisProcess:
    """Trains jobs here, and stops at a signal before the job that it is told."""

    def __init__(self, stops_at: str = "") -> None:
        self.stops_at = stops_at
        self.trained: list[str] = []

    def train_all(self, jobs: Sequence[Job]) -> Iterator[Record]:
        for job in jobs:
            if str(job) == self.stops_at:
                raise Interrupted("stopped by a signal")
            self.trained.append(str(job))
            yield job_record(job, use_threads)

    def time(self, job: Job, seconds: float) -> float:
        raise AssertionError(f"{job} of {seconds} s: steps need no timing")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detectors")
    make_phantom(folder / "logs", wells=2, rows=120, per_strip=6.0, seed=3)
    (folder / "small.yaml").write_text(SMALL)
    (folder / "base.yaml").write_text(BASE)
    return folder


@pytest.fixture
def tree() -> dict[str, Any]:
    return {
        "study": {"base": "base.yaml", "folds": [1], "seeds": [0, 1], "budget": {"steps": 2}},
        "arms": {"augmented": {}, "plain": {"augment": None}},
    }


def jobs_of(tree: dict[str, Any], folder: Path, output: Path) -> list[Job]:
    study = read_study(written(tree, folder))
    configs = arm_configs(study)
    prepare_data(study, configs)
    return jobs_in_turn(study, output, configs, dict.fromkeys(configs, 2))


@pytest.mark.slow
def test_detectors_are_arms_of_a_study_that_goes_on(
    tree: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    study, output = read_study(written(tree, folder)), tmp_path / "out"
    worker = ThisProcess(stops_at="plain, fold 1, seed 0")
    with pytest.raises(Interrupted):
        run_study(study, output, worker)
    rest = ThisProcess()

    result = run_study(study, output, rest, resume=True)

    assert worker.trained == ["augmented, fold 1, seed 0"]
    assert rest.trained == [f"{arm}, fold 1, seed {seed}" for arm, seed in
                            (("plain", 0), ("augmented", 1), ("plain", 1))]  # fmt: skip
    assert [one.message for one in result.records] == [""] * 4
    assert {(one.steps, one.checkpoint, len(one.curve)) for one in result.records} == {
        (2, "ema", 1)
    }
    assert len({one.parameters for one in result.records}) == 1
    assert len({one.scores["train/best_f1@2"] for one in result.records}) > 1
    page = (output / "study.html").read_text()
    assert "best_f1@2 on the logs of the validation wells, by steps" in page
    assert 'href="plain/fold_1_seed_1/report.html"' in page
    assert (output / "curves.png").is_file()


def test_scores_are_those_of_the_last_weights_on_the_held_out_well(
    tree: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    job = jobs_of(tree, folder, tmp_path)[0]

    record = train_and_score(job)

    # the only validation is the last, so that these weights are the best checkpoint
    detector, config = load_detector(RunFolder(job.run))
    (log,) = fold_logs(config, 1).validation
    machine = resolve(config.runtime.shared())
    picks = pick_log(detector, log, config.strips, config.picking, machine)
    expected = score([LogPicks(log.id, log.num_rows, picks, log.picks)], 40)
    assert expected["false_per_strip"] > 0
    for name, value in expected.items():
        assert record.scores.get(name, math.nan) == pytest.approx(value, nan_ok=True)
    assert next(iter(record.scores)) == "f1@2"


def test_an_interrupted_detector_goes_on_to_the_same_scores(
    tree: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    def stop(at: StepProgress) -> None:
        if at.epoch == 1:
            raise Interrupted("SIGTERM")

    job = jobs_of(tree, folder, tmp_path / "whole")[1]
    part = replace(job, run=tmp_path / "part/fold_1_seed_0")
    config = load_curves_config(job.base, job.changes)
    machine = resolve(config.runtime.shared())
    with pytest.raises(Interrupted):
        train_curves(config, 1, RunFolder(part.run), machine, Listener(step=stop))

    record = train_and_score(part)

    assert "Resumed at step" in (part.run / "train.log").read_text()
    assert record.scores == pytest.approx(train_and_score(job).scores, nan_ok=True)


def test_the_length_of_a_run_is_the_budget(tree: dict[str, Any], folder: Path) -> None:
    tree["study"] |= {"budget": {"steps": 60}}
    study = read_study(written(tree, folder))
    configs = arm_configs(study)

    job = jobs_in_turn(study, folder / "out", configs, dict.fromkeys(configs, 60))[3]

    config = load_curves_config(job.base, job.changes)
    # 12 epochs of 5 steps in place of 6: warm-up and validation after twice as many epochs
    assert (config.train.epochs, config.train.steps_per_epoch) == (12, 5)
    assert (config.train.validate_every, config.scheduler.warmup_epochs) == (12, 4)
    assert (config.augment, config.runtime.seed) == (None, 1)


def test_tables_hold_the_scores_of_picks(tree: dict[str, Any], folder: Path) -> None:
    study = read_study(written(tree, folder))
    values = {("augmented", 0): 0.5, ("augmented", 1): 0.6, ("plain", 0): 0.7, ("plain", 1): 0.9}
    records = [
        Record(
            arm,
            1,
            seed,
            "finished",
            (),
            steps=2,
            parameters=9,
            minutes=1.0,
            checkpoint="ema",
            scores={"f1@2": value, "false_per_strip": 0.25, "f1@2[bedding]": 0.1},
        )
        for (arm, seed), value in values.items()
    ]

    text = markdown(study, records)

    assert "| arm | runs | f1@2 | false_per_strip ↓ |" in text
    # differences 0.2 and 0.3: mean 0.25, and 12.706 * 0.05 to both sides
    assert "| plain | 2 | +0.2500 [-0.3853, +0.8853] |" in text
    assert "all picks on whole logs of the validation wells together" in text
    assert "checkpoint ema" in text
    assert "volumes" not in text
    runs = study_page(study, folder, records).runs
    assert runs.title == "Each run, all picks of its validation wells together"


@pytest.mark.parametrize(
    ("study", "arm", "sentence"),
    [
        ({"budget": {"minutes": 1}}, {}, "study.budget: of detectors of curves is in steps"),
        ({"held_out": {"images": "a", "labels": "b"}}, {}, "study.held_out: is for volumes"),
        ({"score": {"measures": ["dice"]}}, {}, "study.score.measures: are those of volumes"),
        (
            {"score": {"checkpoint": "ema"}},
            {"averaging.ema": None},
            "arms.plain: study.score.checkpoint: must be auto, or last, .* found ema",
        ),
        ({"folds": [2]}, {}, "study.folds: the logs have folds 0 to 1, found 2; leave it out"),
        ({}, {"logs.seed": 3}, "arms.plain: logs.seed is the same in all arms"),
        ({}, {"detector.widht": 8}, "arms.plain: .*detector.widht: unknown key; .* width"),
        ({}, {"labels.ignore": 2}, "arms.plain: .*labels: unknown key"),
    ],
)
def test_what_detectors_do_not_have_is_refused(
    tree: dict[str, Any],
    folder: Path,
    study: dict[str, Any],
    arm: dict[str, Any],
    sentence: str,
) -> None:
    tree["study"] |= study
    tree["arms"]["plain"] |= arm

    with pytest.raises(InputError, match=sentence) as fault:
        jobs_of(tree, folder, folder / "out")

    assert len(str(fault.value).splitlines()) == 1


def test_the_folder_of_a_study_does_not_hold_the_logs(tree: dict[str, Any], folder: Path) -> None:
    with pytest.raises(InputError, match=r"must not hold the raw data .*logs"):
        run_study(read_study(written(tree, folder)), folder, ThisProcess())


def test_a_base_that_inherits_from_one_of_curves_is_of_curves(
    tree: dict[str, Any], folder: Path
) -> None:
    (folder / "wide.yaml").write_text("base: base.yaml\ndetector: {width: 32}\n")
    tree["study"]["base"] = "wide.yaml"

    configs = arm_configs(read_study(written(tree, folder)))

    assert [config.detector.width for config in configs.values()] == [32, 32]  # type: ignore[union-attr]

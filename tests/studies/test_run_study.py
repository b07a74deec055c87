"""A study with a worker that trains nothing: order, resumption, failures, tables."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.studies.conftest import FakeWorker, written
from vesuv.config import load_config
from vesuv.errors import InputError, Interrupted
from vesuv.io.lock import hold_lock
from vesuv.studies.records import Record
from vesuv.studies.run_study import run_study
from vesuv.studies.study_file import read_study
from vesuv.studies.tables import markdown

FIRST, SECOND = "today, fold 0, seed 0", "more filters, fold 0, seed 0"
THIRD, FOURTH = "today, fold 1, seed 0", "more filters, fold 1, seed 0"


def rows(output: Path) -> list[dict[str, str]]:
    with (output / "study.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_arms_take_turns_on_each_fold(study_file: Path, tmp_path: Path) -> None:
    worker = FakeWorker()

    run_study(read_study(study_file), tmp_path / "out", worker)

    assert [str(job) for job in worker.jobs] == [FIRST, SECOND, THIRD, FOURTH]
    first, second = (load_config(job.base, job.changes) for job in worker.jobs[:2])
    assert (first.model.filters, second.model.filters) == (4, 6)
    assert first.train.epochs * (first.train.steps_per_epoch or 0) == 4
    assert first.train == second.train
    assert worker.jobs[1].run == tmp_path / "out/more_filters/fold_0_seed_0"


def test_the_table_has_a_row_for_each_run(study_file: Path, tmp_path: Path) -> None:
    worker = FakeWorker({FIRST: 0.7, SECOND: 0.75, THIRD: 0.6, FOURTH: 0.63})

    run_study(read_study(study_file, ["optimizer.lr=0.01"]), tmp_path / "out", worker)

    table = rows(tmp_path / "out")
    assert [row["dice"] for row in table] == ["0.7", "0.75", "0.6", "0.63"]
    assert {(row["minutes"], row["steps"], row["parameters"]) for row in table} == {
        ("0.5", "4", "123")
    }
    text = (tmp_path / "out/study.md").read_text()
    assert "Base base.yaml, for all arms with optimizer.lr=0.01; folds 0, 1;" in text
    # differences 0.05 and 0.03: mean 0.04, and 12.706 * 0.01 to both sides
    assert "| more filters | 2 | +0.0400 [-0.0871, +0.1671] |" in text
    assert "| today | 2 | 0.6500 ± 0.0707 |" in text
    # 0.5 minutes a run, 4 steps, 123 weights; folds of 0.75 and 0.63 differ by 0.12
    assert "| more filters | 0.50 | 4 | 123 | 0.0849 | – |" in text


def test_a_study_that_goes_on_repeats_no_finished_run(study_file: Path, tmp_path: Path) -> None:
    study, output = read_study(study_file), tmp_path / "out"
    with pytest.raises(Interrupted, match="go on with --resume"):
        run_study(study, output, FakeWorker({FIRST: 0.7}, stops_at=THIRD))
    assert len(rows(output)) == 2
    worker = FakeWorker()

    run_study(study, output, worker, resume=True)

    assert [str(job) for job in worker.jobs] == [THIRD, FOURTH]
    assert [row["dice"] for row in rows(output)] == ["0.7", "0.5", "0.5", "0.5"]


def test_a_failed_run_is_recorded_and_tried_again(study_file: Path, tmp_path: Path) -> None:
    study, output = read_study(study_file), tmp_path / "out"

    run_study(study, output, FakeWorker(failing=SECOND))

    assert [row["status"] for row in rows(output)] == ["finished", "failed", "finished", "finished"]
    assert "no memory was left" in (output / "study.md").read_text()
    worker = FakeWorker()
    run_study(study, output, worker, resume=True)
    assert [str(job) for job in worker.jobs] == [SECOND]
    assert {row["status"] for row in rows(output)} == {"finished"}


def test_minutes_give_each_arm_the_steps_that_it_makes_in_them(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    study_tree["study"] |= {"budget": {"minutes": 2}, "folds": [0]}
    study, output = read_study(written(study_tree, tmp_path)), tmp_path / "out"
    worker = FakeWorker(step_seconds={"today": 2.0, "more filters": 4.0})

    run_study(study, output, worker)

    assert worker.timed == ["today", "more filters", "today", "more filters"]
    lengths = [load_config(job.base, job.changes).train for job in worker.jobs]
    assert [(one.epochs, one.steps_per_epoch) for one in lengths] == [(10, 6), (10, 3)]
    again = FakeWorker()
    run_study(study, output, again, resume=True)
    assert (again.timed, again.jobs) == ([], [])


def test_runs_that_miss_the_minutes_are_named(study_tree: dict[str, Any], tmp_path: Path) -> None:
    study_tree["study"]["budget"] = {"minutes": 0.4}
    worker = FakeWorker(step_seconds={"today": 2.0, "more filters": 4.0})

    run_study(read_study(written(study_tree, tmp_path)), tmp_path / "out", worker)

    text = (tmp_path / "out/study.md").read_text()
    assert "today trained 0.50 minutes a run, +25% against the budget" in text


def test_a_measure_of_which_less_is_better_has_an_arrow(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    study_tree["study"]["held_out"] = {"images": "a", "labels": "other/labels"}
    study = read_study(written(study_tree, tmp_path))
    record = Record("today", 0, 0, "finished", (), scores={"dice": 0.5, "held_out/voi": 1.0})

    text = markdown(study, [record])

    assert "| arm | runs | dice | held_out/voi ↓ |" in text
    assert "held_out/: the further cases of other/labels." in text


def test_an_arm_that_cannot_be_timed_has_failed(study_tree: dict[str, Any], tmp_path: Path) -> None:
    study_tree["study"]["budget"] = {"minutes": 2}
    worker = FakeWorker(step_seconds={"today": 2.0})

    result = run_study(read_study(written(study_tree, tmp_path)), tmp_path / "out", worker)

    failed = [record for record in result.records if not record.is_finished]
    assert [(one.arm, one.fold) for one in failed] == [("more filters", 0), ("more filters", 1)]
    assert {one.message for one in failed} == {"the network does not fit"}
    assert [str(job) for job in worker.jobs] == [FIRST, THIRD]


def test_a_folder_holds_one_study(study_file: Path, tmp_path: Path) -> None:
    study, output = read_study(study_file), tmp_path / "out"
    with pytest.raises(InputError, match="holds no study to go on with; leave --resume out"):
        run_study(study, output, FakeWorker(), resume=True)
    run_study(study, output, FakeWorker())

    with pytest.raises(InputError, match="holds a study already; --resume goes on with it"):
        run_study(study, output, FakeWorker())


def test_a_study_does_not_go_on_with_other_settings(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run_study(read_study(written(study_tree, tmp_path)), output, FakeWorker())
    study_tree["arms"]["more filters"] = {"model.filters": 8}

    with pytest.raises(
        InputError,
        match=r"other settings than the study has now \(model.filters=6 before, model.filters=8",
    ):
        run_study(read_study(written(study_tree, tmp_path)), output, FakeWorker(), resume=True)


def test_a_study_does_not_go_on_with_another_base(study_file: Path, tmp_path: Path) -> None:
    study, output, base = read_study(study_file), tmp_path / "out", tmp_path / "base.yaml"
    with pytest.raises(Interrupted):
        run_study(study, output, FakeWorker(stops_at=SECOND))
    tree = yaml.safe_load(base.read_text())
    base.write_text(yaml.safe_dump(tree | {"optimizer": {"name": "adamw", "lr": 0.5}}))

    for _ in range(2):  # what was refused changes nothing
        with pytest.raises(InputError, match=r"arm today .*lr=0.005 before, optimizer.lr=0.5 now"):
            run_study(read_study(study_file), output, FakeWorker(), resume=True)


def test_a_fold_that_the_data_do_not_have_is_refused(
    study_tree: dict[str, Any], tmp_path: Path
) -> None:
    study_tree["study"]["folds"] = [0, 2]

    with pytest.raises(InputError, match=r"study.folds: the data have folds 0 to 1, found 2"):
        run_study(read_study(written(study_tree, tmp_path)), tmp_path / "out", FakeWorker())


def test_the_folder_does_not_hold_the_raw_data(study_file: Path, tiny_data: Path) -> None:
    with pytest.raises(InputError, match="must not hold the raw data"):
        run_study(read_study(study_file), tiny_data.parent, FakeWorker())


def test_one_process_at_a_time_runs_a_study(study_file: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    with (
        hold_lock(tmp_path / "out/study.lock", ""),
        pytest.raises(InputError, match="another process runs this study"),
    ):
        run_study(read_study(study_file), tmp_path / "out", FakeWorker())

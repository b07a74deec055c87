"""Remedies as arms: which are tried, what they brought, and the command to go on with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import tiny_tree
from tests.studies.conftest import FakeWorker
from vesuv.config import check, load_config
from vesuv.errors import InputError
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import Finding
from vesuv.studies.remedies import default_seeds, next_command, remedy_study, try_remedies
from vesuv.studies.study_file import Budget, Study
from vesuv.training.train import with_absolute_paths

RATE = ("still_weights", "--set optimizer.lr=0.03; the defaults are 5e-4 (adamw).")
DICE = (
    "rare_foreground",
    "--set sampling.foreground_share=0.67 train.gradient_clip=0.5, and more.",
)


def finding(name: str, remedy: str) -> Finding:
    return Finding(
        name=name, title="", evidence="", remedy=remedy, severity="trouble", epochs=(0, 1)
    )


@pytest.fixture
def run(tiny_data: Path, tmp_path: Path) -> RunFolder:
    """A run of fold 1 with seed 7 that was started from a file and a change."""
    tree = tiny_tree(tiny_data, tmp_path / "store")
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(tree))
    overrides = ["optimizer.lr=0.01", "runtime.seed=7"]
    return made(tmp_path / "log/tiny/fold_1", load_config(file, overrides), {
        "config_file": str(file), "overrides": overrides, "store": str(tmp_path / "store"),
    })  # fmt: skip


def made(path: Path, config: Any, facts: dict[str, Any]) -> RunFolder:
    run = RunFolder(path)
    run.create(
        config,
        {"version": 1, "fold": 1, "data_fingerprint": "0", "validation_cases": ["c1"], **facts},
    )
    return run


def study_of(
    run: RunFolder,
    *remedies: tuple[str, str],
    budget: Budget | None = None,
    seeds: tuple[int, ...] = (7, 8),
) -> Study:
    findings = [finding(*one) for one in remedies]
    return remedy_study(run, findings, budget or Budget(minutes=1), seeds, run.path / "remedies")


def test_the_arms_are_the_run_as_it_is_each_remedy_and_all_together(run: RunFolder) -> None:
    study = study_of(run, RATE, DICE)

    clip = ("sampling.foreground_share=0.67", "train.gradient_clip=0.5")
    assert [(arm.name, arm.changes) for arm in study.arms] == [
        ("as it is", ()),
        ("still_weights", ("optimizer.lr=0.03",)),
        ("rare_foreground", clip),
        ("all together", ("optimizer.lr=0.03", *clip)),
    ]
    assert (study.settings.folds, study.notes) == ((1,), ())
    assert default_seeds(run) == (7, 8)


def test_of_two_values_the_first_finding_decides(run: RunFolder) -> None:
    other = ("skipped_steps", "--set optimizer.lr=0.001 train.gradient_clip=0.5.")

    study = study_of(run, RATE, other)

    assert study.arms[-1].name == "all together"
    assert study.arms[-1].changes == ("optimizer.lr=0.03", "train.gradient_clip=0.5")
    assert study.notes == (
        "all together: optimizer.lr is that of still_weights, not optimizer.lr of skipped_steps.",
    )


def test_a_section_and_a_key_of_it_are_one_conflict(run: RunFolder) -> None:
    off = ("learning_rate_too_high", "--set 'averaging.ema={decay: 0.9}' optimizer.lr=0.03.")
    decay = ("threshold_instability", "--set averaging.ema.decay=0.99 optimizer.weight_decay=0.03.")

    study = study_of(run, off, decay)

    assert "all together: averaging.ema is that of learning_rate_too_high, not " in study.notes[0]
    assert "averaging.ema.decay=0.99" not in study.arms[-1].changes


@pytest.mark.parametrize(
    ("remedy", "reason"),
    [
        ("Have some cases labelled twice.", "not tried, its remedy names no setting"),
        ("--set train.epochs=8 phases.1.epochs.1=null.", "not tried, all arms train equally long"),
        ("--set validation.threshold=0.3.", "validation.threshold concerns validation and pred"),
        ("--set labels.ignore=1 'labels.classes={background: 0}'", "changes what the scores count"),
        ("--set data.folds.by=stratified, more.", "data.folds.by is the same in all arms"),
        ("on a GPU runtime.augment_on=device.", "runtime.augment_on needs a GPU"),
        ("--set model.filters=-1.", "the configuration refuses it: "),
        ("--set optimizer.lr=0.01.", "the configuration has it already"),
    ],
)
def test_a_remedy_that_is_not_tried_is_named_with_the_reason(
    run: RunFolder, remedy: str, reason: str
) -> None:
    study = study_of(run, ("here", remedy))

    assert [arm.name for arm in study.arms] == ["as it is"]
    (note,) = study.notes
    assert note.startswith("here: not tried, ")
    assert reason in note


def test_the_first_alternative_that_can_be_tried_is_tried(run: RunFolder) -> None:
    study = study_of(run, ("under_fitting", "--set train.epochs=8 or optimizer.lr=0.02."))

    assert study.arms[1].changes == ("optimizer.lr=0.02",)
    assert study.notes == ()


def test_the_length_is_left_out_of_a_longer_remedy(run: RunFolder) -> None:
    study = study_of(run, ("cut", "--set scheduler.power=0.5 train.epochs=8."))

    assert study.arms[1].changes == ("scheduler.power=0.5",)
    assert study.notes == ("cut: tried without train.epochs, all arms train equally long.",)


def test_more_workers_are_tried_for_minutes_alone(run: RunFolder) -> None:
    remedy = ("slow_loading", "--set runtime.workers=4 where cores are free; else augment.blur.p=0")

    assert len(study_of(run, remedy).arms) == 2
    study = study_of(run, remedy, budget=Budget(steps=5))
    assert len(study.arms) == 1
    assert "it changes the time of a step alone; give minutes" in study.notes[0]


def test_equal_remedies_are_one_arm(run: RunFolder) -> None:
    study = study_of(run, RATE, ("under_fitting", "--set optimizer.lr=0.03."))

    assert [arm.name for arm in study.arms] == ["as it is", "still_weights"]
    assert study.notes == ("under_fitting: not tried, its change is that of still_weights.",)


def test_settings_that_the_run_has_are_left_out(run: RunFolder) -> None:
    remedy = ("collapse", "--set sampling.batch_size=2, and optimizer.lr=0.03.")

    assert study_of(run, remedy).arms[1].changes == ("optimizer.lr=0.03",)


def test_two_values_of_one_key_make_no_joint_arm(run: RunFolder) -> None:
    study = study_of(run, RATE, ("under_fitting", "--set optimizer.lr=0.02."))

    assert [arm.name for arm in study.arms] == ["as it is", "still_weights", "under_fitting"]
    assert study.notes == ("all together: not tried, its changes are those of one remedy.",)


def test_a_remedy_whose_interval_lies_above_zero_wins(run: RunFolder) -> None:
    study = study_of(run, RATE, DICE, budget=Budget(steps=4))
    scores = {
        "as it is": (0.50, 0.52),
        "still_weights": (0.60, 0.621),
        "rare_foreground": (0.9, 0.3),
    }
    worker = FakeWorker(
        {
            f"{arm}, fold 1, seed {seed}": value
            for arm, values in scores.items()
            for seed, value in zip((7, 8), values, strict=True)
        }
    )

    _, sentences = try_remedies(run, study, worker)

    # differences 0.1 and 0.101: mean 0.1005, and 12.706 * 0.0005 to both sides
    assert sentences[0] == (
        "still_weights is better than 'as it is': dice +0.1005, 95 % interval [+0.0941, +0.1069]."
    )
    text = (run.path / "remedies/study.md").read_text()
    assert "| still_weights | 2 | +0.1005 [+0.0941, +0.1069] |" in text
    assert "Go on with: vesuv train --config " in text
    assert sentences[0].split(":")[0] in (run.path / "remedies/study.html").read_text().replace(
        "&#39;", "'"
    )


def test_the_command_trains_the_run_with_the_remedy(run: RunFolder, tmp_path: Path) -> None:
    study = study_of(run, RATE, budget=Budget(steps=4))
    worker = FakeWorker(
        {"still_weights, fold 1, seed 7": 0.6, "still_weights, fold 1, seed 8": 0.6}
    )

    _, (_, command) = try_remedies(run, study, worker)

    words = shlex.split(command.removeprefix("Go on with: vesuv train "))
    assert words == [
        "--config", str(tmp_path / "tiny.yaml"), "--fold", "1",
        "--set", "runtime.seed=7", "optimizer.lr=0.03",
        "--output", str(tmp_path / "log/tiny/fold_1_still_weights"),
    ]  # fmt: skip
    repaired = load_config(words[1], words[5:7])
    assert repaired == run.config_with(["optimizer.lr=0.03"])


def test_a_file_that_was_changed_since_gives_way_to_the_runs_own(
    run: RunFolder, tmp_path: Path
) -> None:
    tree = yaml.safe_load((tmp_path / "tiny.yaml").read_text())
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**tree, "train": {"epochs": 9}}))
    study = study_of(run, RATE, budget=Budget(steps=4))

    _, (_, command) = try_remedies(run, study, FakeWorker({"still_weights, fold 1, seed 7": 0.6}))

    assert f"--config {run.config_file} --fold 1 --set optimizer.lr=0.03 --output" in command


def test_without_a_clear_interval_the_best_mean_is_not_told_apart(run: RunFolder) -> None:
    study = study_of(run, RATE, budget=Budget(steps=4))

    _, (sentence, _) = try_remedies(run, study, FakeWorker({"still_weights, fold 1, seed 8": 0.7}))

    # differences 0 and 0.2
    assert sentence.startswith(
        "still_weights has the best mean, not told apart from 'as it is': dice +0.1000, 95 % "
        "interval [-1.1706, +1.3706]; --seeds 7 8 9 10 --resume adds runs."
    )


def test_one_seed_gives_no_interval(run: RunFolder) -> None:
    study = study_of(run, RATE, budget=Budget(steps=4), seeds=(3,))

    _, (sentence, _) = try_remedies(run, study, FakeWorker({"still_weights, fold 1, seed 3": 0.7}))

    assert sentence == (
        "still_weights has the best mean, not told apart from 'as it is': dice +0.2000; one pair "
        "of runs gives no interval; --seeds 3 4 5 --resume adds runs."
    )


def test_a_remedy_that_brings_nothing_is_not_gone_on_with(run: RunFolder) -> None:
    study = study_of(run, RATE, budget=Budget(steps=4))

    _, sentences = try_remedies(run, study, FakeWorker({"still_weights, fold 1, seed 7": 0.3}))

    (sentence,) = sentences
    assert sentence.startswith("No remedy has a higher mean dice than 'as it is' (still_weights: ")


def test_failed_runs_leave_nothing_to_compare(run: RunFolder) -> None:
    study = study_of(run, RATE, budget=Budget(steps=4), seeds=(7,))

    records, sentences = try_remedies(
        run, study, FakeWorker(failing="still_weights, fold 1, seed 7")
    )

    assert sentences == [
        "No remedy can be compared: it and 'as it is' have no finished run in common."
    ]
    assert [record.is_finished for record in records] == [True, False]


@pytest.mark.slow
def test_more_seeds_go_on_with_the_finished_runs(run: RunFolder) -> None:
    budget, worker = Budget(steps=4), FakeWorker()
    try_remedies(run, study_of(run, RATE, budget=budget), FakeWorker())

    try_remedies(run, study_of(run, RATE, budget=budget, seeds=(7, 8, 9)), worker, resume=True)

    assert [str(job) for job in worker.jobs] == [
        "as it is, fold 1, seed 9", "still_weights, fold 1, seed 9",
    ]  # fmt: skip


def test_a_file_with_relative_paths_is_still_the_runs(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tree = tiny_tree(Path(tiny_data.name), Path("unused"))
    del tree["data"]["store"]
    (tmp_path / tiny_data.name).symlink_to(tiny_data)
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(tree))
    config = with_absolute_paths(load_config(file))
    facts = {"config_file": str(file), "overrides": [], "store": str(config.data.store)}
    run = made(tmp_path / "run", config, facts)

    assert f"--config {file} --fold 1 --set a=1" in next_command(run, "x", ["a=1"])
    assert study_of(run, RATE).changes == ()


def test_the_data_are_those_that_the_run_recorded(tiny_data: Path, tmp_path: Path) -> None:
    tree = tiny_tree(tiny_data, tmp_path / "store")
    del tree["data"]["store"]
    run = made(tmp_path / "run", check(tree, "tiny"), {"store": str(tmp_path / "elsewhere")})

    study = study_of(run, RATE)

    assert study.changes == (f"data.store={tmp_path / 'elsewhere'}",)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"fold": "all"}, "compared on validation cases, and fold all has none; name a run of"),
        ({"store": None}, "its cases were in memory, so its remedies cannot be tried; train it"),
    ],
)
def test_a_run_that_cannot_be_compared_is_refused(
    tiny_data: Path, tmp_path: Path, facts: dict[str, Any], message: str
) -> None:
    config = check(tiny_tree(tiny_data, tmp_path / "store"), "tiny")
    run = made(tmp_path / "run", config, {"store": str(tmp_path / "store"), **facts})

    with pytest.raises(InputError, match=message):
        study_of(run, RATE)

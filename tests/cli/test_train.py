"""vesuv train: what it prints before the work, --dry-run and --resume."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Refused, Run
from tests.conftest import tiny_tree
from vesuv.cli.train import EpochClock
from vesuv.config import load_config
from vesuv.runs.folder import RunFolder

Output = pytest.CaptureFixture[str]
SHORT = ("train.epochs=1", "train.steps_per_epoch=1", "diagnosis.enabled=false")


@pytest.fixture
def mine(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(tiny_tree(tiny_data, Path("store"))))
    return file


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    mine: Path, run: Run, capsys: Output
) -> None:
    run("train", "--config", mine, "--fold", 0, "--dry-run")

    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "differences to the defaults:"
    assert "  train.epochs: 300 -> 4" in printed
    assert not any("gradient_clip" in line for line in printed)
    assert printed[-3].endswith(", 4 cases") and printed[-3].startswith("would read: ")
    assert printed[-2:] == [f"would write: {mine.parent / 'store'}", "would write: log/tiny/fold_0"]
    assert list(mine.parent.iterdir()) == [mine]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("data.root=gone", "data.root: gone is no folder"),
        ("train.pretrained=gone", "train.pretrained: gone is no bundle, no run and no checkpoint"),
    ],
)
def test_a_dry_run_refuses_what_training_would_refuse(
    change: str, sentence: str, mine: Path, refused: Refused
) -> None:
    error = refused("train", "--config", mine, "--fold", 0, "--dry-run", "--set", change)

    assert error.startswith(f"error: {sentence}")
    assert list(mine.parent.iterdir()) == [mine]


def test_every_fold_that_goes_on_is_compared_before_the_first_one_trains(
    mine: Path, refused: Refused
) -> None:
    for fold, size in enumerate((2, 4)):
        config = load_config(mine, [f"sampling.batch_size={size}"])
        facts = {"fold": fold, "data_fingerprint": "x", "validation_cases": []}
        RunFolder(Path(f"log/tiny/fold_{fold}")).create(config, facts)

    words = ("train", "--config", mine, "--fold", 0, 1, "--set", "data.store=store")
    error = refused(*words, "--resume", "--dry-run")

    assert error.startswith("error: log/tiny/fold_1/config.yaml: a resumed run keeps")


@pytest.mark.parametrize("switch", [("--dry-run",), ()])
def test_a_fold_that_is_not_there_is_refused_before_anything_is_prepared(
    mine: Path, refused: Refused, switch: tuple[str, ...]
) -> None:
    error = refused("train", "--config", mine, "--fold", 9, *switch)

    assert error.splitlines()[-1].startswith(
        "error: --fold 9: folds go from 0 to 1 (data.folds.num"
    )
    assert list(mine.parent.iterdir()) == [mine]


def test_a_run_prints_a_line_an_epoch_and_the_log_has_all(
    mine: Path, run: Run, capsys: Output
) -> None:
    phases = "phases=[{epochs: [0, null], weights: {dice: 1.0}}]"
    changes = (phases, "train.epochs=3", "train.steps_per_epoch=1", "validation.every=3")
    run("train", "--config", mine, "--fold", 0, "--output", "run", "--set", *changes)

    printed = capsys.readouterr().out.splitlines()
    log = [line[20:] for line in Path("run/train.log").read_text().splitlines()]
    differing, values, prepared, start, machine, phase, *epochs, last, page = printed
    assert differing.startswith(f"{mine}: ")
    assert differing.endswith(" keys differ from the defaults; --dry-run and the page list them")
    assert values.startswith("label values: ") and ", prepared (" in prepared
    assert [start, machine, phase] == log[:3]
    assert [line.split("  ")[0] for line in epochs[:3]] == ["epoch 0", "epoch 1", "epoch 2"]
    assert ["dice " in line for line in epochs[:3]] == [False, False, True]
    assert [" left" in line for line in epochs[:3]] == [True, True, False]
    assert epochs[3] == "3 epochs done"
    assert last == log[-1] and last.startswith("Best dice ")
    assert page == "page: run/report.html"
    assert len(printed) <= 16
    assert sum("Train - Loss" in line for line in log) == 3
    assert not any("Train - Loss" in line or "Val - Loss" in line for line in printed)


def test_time_left_is_that_of_the_last_epochs_and_of_the_limit(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 100.0, 110.0, 120.0, 590.0])
    monkeypatch.setattr("vesuv.cli.train.time.monotonic", lambda: next(times))
    clock = EpochClock(load_config(mine, ["train.epochs=9", "runtime.max_minutes=10"]))

    # 8 times 100 s, but 500 s are left; 7 times the median of 100 and 10; of 100, 10 and 10.
    assert [clock.seconds_left(epoch) for epoch in range(3)] == [500.0, 385.0, 60.0]
    assert clock.seconds_left(3) == 10.0


def test_a_run_records_absolute_paths_and_goes_on_with_its_own_changes(
    mine: Path, run: Run, capsys: Output, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = ("train", "--config", mine, "--fold", 0, "--output", "run")
    run(*train, "--set", *SHORT, "data.store=store")

    recorded = yaml.safe_load(Path("run/config.yaml").read_text())["data"]
    assert recorded["store"] == str(mine.parent / "store")
    assert Path(recorded["root"]).is_absolute()
    capsys.readouterr()

    run(*train, "--resume", "--set", "train.epochs=2")

    assert capsys.readouterr().out.splitlines()[:2] == [
        "differences to run/config.yaml:",
        "  train.epochs: 1 -> 2",
    ]
    config = RunFolder(Path("run")).config
    assert (config.train.epochs, config.train.steps_per_epoch) == (2, 1)
    for switches in (["--resume"], ["--resume", "--dry-run"]):
        error = refused(*train, *switches, "--set", "sampling.batch_size=4")
        assert "found other values for sampling.batch_size (2 -> 4); put them back" in error

    shutil.move("store", "moved")
    error = refused(*train, "--resume", "--set", "train.epochs=3")
    assert f"are no longer in {mine.parent / 'store'}; name their new place with" in error
    error = refused("validate_distribution", "--run", "run")
    assert "name their new place with --set data.store=..." in error
    assert not Path("store").exists()

    monkeypatch.chdir("run")
    run(*train[:-1], "../run", "--resume", "--set", "train.epochs=3", "data.store=../moved")
    assert RunFolder(Path()).config.data.store == str(mine.parent / "moved")
    assert load_config("config.yaml").train.epochs == 3


@pytest.mark.slow
def test_minutes_give_the_run_its_length_and_resume_keeps_it(
    mine: Path, run: Run, capsys: Output
) -> None:
    words = ("train", "--config", mine, "--fold", 0, "--output", "run")
    one_phase = 'phases=[{"epochs": [0, null], "weights": {"dice": 1.0}}]'

    run(*words, "--minutes", 0.15, "--set", one_phase)

    config = RunFolder(Path("run")).config
    printed = capsys.readouterr().out
    assert "steps take about 0.15 minutes here" in printed
    assert f"\n{config.train.epochs} epochs, planned were " in printed
    assert f"train.epochs={config.train.epochs}" in RunFolder(Path("run")).facts.overrides
    run(*words, "--resume")
    assert RunFolder(Path("run")).config == config


def test_minutes_are_for_new_runs(mine: Path, run: Run, refused: Refused) -> None:
    run("train", "--config", mine, "--fold", 0, "--set", *SHORT)

    error = refused("train", "--config", mine, "--fold", 0, "--minutes", 1, "--resume")

    assert error.startswith("error: --minutes: a run that goes on keeps its length")

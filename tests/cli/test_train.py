"""vesuv train: what it prints before the work, --dry-run and --resume."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Refused, Run
from tests.conftest import tiny_tree
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


def test_a_dry_run_refuses_what_training_would_refuse(mine: Path, refused: Refused) -> None:
    error = refused("train", "--config", mine, "--fold", 0, "--dry-run", "--set", "data.root=gone")

    assert error.startswith("error: data.root: gone is no folder")
    assert list(mine.parent.iterdir()) == [mine]


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
    error = refused(*train, "--resume", "--set", "sampling.batch_size=4")
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

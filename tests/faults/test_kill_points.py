"""A run that is killed just before or behind any rename goes on to the same end."""

import re
import signal
from pathlib import Path

import pytest
import yaml

from tests.conftest import tiny_tree
from tests.faults.ends import assert_same_end, end_of
from tests.faults.runs import SAVED_OFTEN, KilledAtRename, start


@pytest.fixture
def config_file(tiny_data: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny_tree(tiny_data, tmp_path / "store") | SAVED_OFTEN))
    return path


def arguments(config: Path, run: Path) -> list[str]:
    resume = ["--resume"] if (run / "checkpoints/last.pt").is_file() else ["--overwrite"]
    return ["train", "--config", str(config), "--fold", "0", "--output", str(run), *resume]


@pytest.mark.slow
def test_killed_at_its_renames_a_run_ends_as_one_that_was_not(config_file: Path) -> None:
    whole, parts = config_file.parent / "whole", config_file.parent / "parts"
    errors = config_file.parent / "errors.txt"
    assert start(arguments(config_file, whole), errors).status() == 0
    # Of config.yaml, run.json, the page, best, last, averages and what was kept of the ones before.
    for number, done in [(2, True), (7, False), (12, True), (14, False)]:
        killer = KilledAtRename(number, done)
        running = start(arguments(config_file, parts), errors, before=killer)
        assert running.status() == -signal.SIGKILL, running.said

    running = start(arguments(config_file, parts), errors)
    assert running.status() == 0, running.said
    assert_same_end(end_of(whole), end_of(parts))
    assert not re.search(r"damaged|cannot be read", (parts / "train.log").read_text())
    assert not list(parts.rglob("*.partial"))

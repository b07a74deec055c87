"""Output that nobody reads, that has no room, or that is closed: the work goes on to its end."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.conftest import tiny_tree
from tests.curves.conftest import SMALL as SMALL_CURVES
from tests.faults.runs import start
from vesuv.curves.phantom import make_phantom
from vesuv.runs.checkpoints import read_checkpoint

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")

NO_ROOM = (
    "error: standard output: cannot be written (No space left on device); all else is done and "
    "saved\n"
)


def close_reader() -> None:
    """Print into a pipe whose reader has ended."""
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.close(reading)


def print_to_full_device() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def close_output() -> None:
    os.close(1)
    os.close(0)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for folder in ("predictions", "labels"):
        (tmp_path / folder).mkdir()
        for case in "ab":
            np.save(tmp_path / folder / f"{case}.npy", np.ones((2, 2, 2), dtype=np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("output", "status", "error"),
    [(close_reader, 0, ""), (print_to_full_device, 2, NO_ROOM), (close_output, 0, "")],
)
def test_scores_are_written_whatever_becomes_of_the_output(
    masks: Path, output: Callable[[], None], status: int, error: str
) -> None:
    words = ["evaluate", "--predictions", str(masks / "predictions")]
    words += ["--classes", "background=0", "sheet=1"]

    running = start(
        [*words, "--labels", str(masks / "labels")], masks / "errors.txt", before=output
    )

    assert (running.status(), running.said) == (status, error)
    lines = (masks / "predictions/scores.csv").read_text().splitlines()
    assert [line[:5] for line in lines] == ["id,gr", "a,,1,", "b,,1,"]


@pytest.mark.parametrize(
    ("output", "status", "error", "reason"),
    [
        (close_reader, 0, "", "Broken pipe"),
        (print_to_full_device, 2, NO_ROOM, "No space left on device"),
    ],
)
def test_a_run_goes_on_and_its_log_says_that_nothing_is_printed(
    tiny_data: Path,
    tmp_path: Path,
    output: Callable[[], None],
    status: int,
    error: str,
    reason: str,
) -> None:
    tree = tiny_tree(tiny_data, tmp_path / "store") | {"train": {"epochs": 1, "steps_per_epoch": 2}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    words = ["train", "--config", str(tmp_path / "tiny.yaml"), "--fold", "0"]

    running = start(
        [*words, "--output", str(tmp_path / "run")], tmp_path / "errors.txt", before=output
    )

    assert (running.status(), running.said) == (status, error)
    log = (tmp_path / "run/train.log").read_text()
    assert log.count(f"Nothing more is printed ({reason}); training and this log go on\n") == 1
    assert re.search(r"Epoch 0 Val - Loss", log)
    state = read_checkpoint(tmp_path / "run/checkpoints/last.pt").training
    assert state is not None and state["progress"]["epoch"] == 1


def test_a_run_of_curves_goes_on_and_its_log_says_that_nothing_is_printed(tmp_path: Path) -> None:
    make_phantom(tmp_path / "logs", wells=2, rows=120, per_strip=6.0, seed=3)
    (tmp_path / "small.yaml").write_text(SMALL_CURVES)
    words = ["curves", "train", "--config", str(tmp_path / "small.yaml"), "--fold", "0"]
    words += ["--set", f"logs.root={tmp_path / 'logs'}", "train.epochs=1"]

    running = start(
        [*words, "--output", str(tmp_path / "run")],
        tmp_path / "errors.txt",
        before=print_to_full_device,
    )

    assert (running.status(), running.said) == (2, NO_ROOM)
    log = (tmp_path / "run/train.log").read_text()
    reason = "No space left on device"
    assert log.count(f"Nothing more is printed ({reason}); training and this log go on\n") == 1
    assert "Epoch 0 Train - Loss" in log


def test_help_and_version_end_well_in_a_shell_with_a_short_or_closed_output() -> None:
    vesuv = f"'{sys.executable}' -c 'from vesuv.cli import main; main()'"
    commands = {
        f"{vesuv} --help | head -n 1 | wc -l; echo ${{PIPESTATUS[0]}}": "1\n0\n",
        f"{vesuv} --version >&- 2>&- <&-; echo $?": "0\n",
        f"{vesuv} --version 2>/dev/null >/dev/full; echo $?": "2\n",
    }

    for command, expected in commands.items():
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == (expected, ""), command

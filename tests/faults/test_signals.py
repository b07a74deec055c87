"""SIGTERM and Ctrl-C end every verb with one sentence, and nothing half-written stays."""

import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.conftest import tiny_tree
from tests.faults.runs import start
from vesuv.runs.folder import RunFolder


@dataclass(frozen=True)
class SignalAtRename:
    """Called in a process, it signals that process at its first rename: a file is just written."""

    number: signal.Signals
    temporary: Path
    """Where the process puts its temporary folders."""
    swallowed: bool = False
    """Whether a library answers the exception of the signal with another one."""

    def __call__(self) -> None:
        os.environ["TMPDIR"] = str(self.temporary)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests' caller may ignore it
        rename = os.replace

        def signalled(source: str, target: str) -> None:
            os.replace = rename
            try:
                os.kill(os.getpid(), self.number)
                rename(source, target)
            except KeyboardInterrupt:
                if self.swallowed:
                    raise RecursionError("maximum recursion depth exceeded") from None
                raise

        os.replace = signalled  # type: ignore[assignment]


def signalled(
    words: Sequence[object], folder: Path, number: signal.Signals, swallowed: bool = False
) -> tuple[int, str]:
    """Call a verb that gets a signal while it writes; return its status and what it said."""
    temporary = folder / "temporary"
    temporary.mkdir()
    running = start(
        [str(word) for word in words],
        folder / "errors.txt",
        before=SignalAtRename(number, temporary, swallowed),
    )
    status = running.status()
    assert status is not None
    assert list(temporary.glob("vesuv-*")) == []
    names = [path.name for path in folder.rglob("*")]
    assert [name for name in names if "partial" in name or name.startswith(".vesuv-")] == []
    return status, running.said


@pytest.fixture
def finished_run(trained_run: RunFolder, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_run.path, tmp_path / "run"))


SENTENCE = "stopped by {}; every file that was written is whole, start it again\n"


@pytest.mark.parametrize("swallowed", [False, True])
@pytest.mark.parametrize(
    ("number", "name", "status"), [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "Ctrl-C", 130)]
)
def test_scoring_ends_with_the_status_of_the_signal(
    tmp_path: Path, number: signal.Signals, name: str, status: int, swallowed: bool
) -> None:
    for folder in ("predictions", "labels"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", np.ones((2, 2, 2), dtype=np.uint8))
    words = ["evaluate", "--predictions", tmp_path / "predictions", "--labels", tmp_path / "labels"]
    words += ["--classes", "background=0", "sheet=1"]

    ended = signalled(words, tmp_path, number, swallowed)

    assert ended == (status, SENTENCE.format(name))
    assert not (tmp_path / "predictions/scores.csv").exists()


def test_preparing_ends_and_leaves_no_store(tiny_data: Path, tmp_path: Path) -> None:
    config = tmp_path / "tiny.yaml"
    config.write_text(yaml.safe_dump(tiny_tree(tiny_data, tmp_path / "store")))

    ended = signalled(["prepare", "--config", config], tmp_path, signal.SIGTERM)

    assert ended == (143, SENTENCE.format("SIGTERM"))
    assert not (tmp_path / "store").exists()


def test_predicting_ends_and_removes_its_temporary_folder(
    finished_run: Path, tiny_data: Path, tmp_path: Path
) -> None:
    words = ["predict", "--run", finished_run, "--checkpoint", "last", "--output", tmp_path / "out"]

    ended = signalled([*words, "--input", tiny_data / "train_images"], tmp_path, signal.SIGTERM)

    assert ended == (143, SENTENCE.format("SIGTERM"))


@pytest.mark.parametrize("verb", ["validate_distribution", "find_best"])
def test_selecting_ends_and_selects_nothing(finished_run: Path, tmp_path: Path, verb: str) -> None:
    more = ["--output", tmp_path / "best.json"] if verb == "find_best" else []
    words = [verb, "--run", finished_run, "--checkpoint", "best", *more]

    assert signalled(words, tmp_path, signal.SIGTERM) == (143, SENTENCE.format("SIGTERM"))
    assert not (finished_run / "selected.json").exists()
    assert not (tmp_path / "best.json").exists()

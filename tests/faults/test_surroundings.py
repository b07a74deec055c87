"""A user without rights, no home, no temporary folder: a verb works, or says what it lacks."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.faults.runs import start
from tests.faults.test_folders import give_up_overriding


@dataclass(frozen=True)
class Surroundings:
    """Called in a process, it takes away what a user may lack."""

    environment: dict[str, str | None] = field(default_factory=dict)
    umask: int = 0o022

    def __call__(self) -> None:
        for name, value in self.environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        os.umask(self.umask)


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    for folder in ("predictions", "labels"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", np.ones((2, 2, 2), dtype=np.uint8))
    (tmp_path / "c.yaml").write_text(
        "name: c\ndata: {root: nowhere}\nlabels: {classes: {background: 0, a: 1}, ignore: 2}\n"
        "phases: [{epochs: [0, null], weights: {dice: 1.0}}]\n"
    )
    return tmp_path


def evaluate(masks: Path, before: Callable[[], None], *more: object) -> tuple[int | None, str]:
    words = ["evaluate", "--predictions", masks / "predictions", "--labels", masks / "labels"]
    words += ["--config", masks / "c.yaml", "--output", masks / "out", *more]
    running = start([str(word) for word in words], masks / "errors.txt", before=before)
    return running.status(), running.said


@pytest.mark.parametrize(
    "surroundings",
    [
        Surroundings({"HOME": None, "TMPDIR": None}),
        Surroundings({"HOME": "/nonexistent", "TMPDIR": "/nonexistent"}),
        Surroundings(umask=0o077),
    ],
)
def test_scoring_needs_no_home_no_temporary_folder_and_no_umask(
    masks: Path, surroundings: Surroundings
) -> None:
    status, error = evaluate(masks, surroundings, "--images", masks / "predictions")

    assert status == 0, error
    assert (masks / "out/pictures/a.png").stat().st_size > 1000
    assert (masks / "out/scores.csv").read_text().startswith("id,group")


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_a_user_without_rights_is_told_what_may_not_be_written_or_read(masks: Path) -> None:
    (masks / "out").mkdir(mode=0o555)
    status, error = evaluate(masks, give_up_overriding)
    assert status == 2, error
    assert re.fullmatch(r"error: --output: [^\n]*/out may not be written; .*\n", error), error

    (masks / "predictions").chmod(0o000)
    status, error = evaluate(masks, give_up_overriding)
    (masks / "predictions").chmod(0o755)
    assert status == 2, error
    assert re.fullmatch(r"error: [^\n]*/predictions[^\n]*Permission denied[^\n]*\n", error), error

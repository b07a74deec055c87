"""Training runs in processes of their own, which tests may kill."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from tests.conftest import FULL_STATE
from vesuv.cli import main

_CONTEXT = multiprocessing.get_context("forkserver")
_VERBS = ("diagnose", "evaluate", "find_best", "phantom", "predict", "prepare", "train")
_LIBRARIES = ("matplotlib.backends.backend_agg", "nibabel", "torch._dynamo", "zarr")
"""Imported at a verb's first need of them, which would cost each process a second or more."""
_CONTEXT.set_forkserver_preload([*(f"vesuv.cli.{verb}" for verb in _VERBS), *_LIBRARIES])
SAVED_OFTEN: dict[str, Any] = FULL_STATE | {
    "train": {"epochs": 3, "steps_per_epoch": 3},
    "checkpoint": {"every_minutes": 1e-6},
    "validation": {"tiles": 2},
}
"""Sections of a short run that saves its full state after every step."""
PATIENCE = 60.0
"""Seconds after which a run counts as hanging."""


@dataclass(frozen=True)
class Running:
    """A command under way; what it says on standard error goes to a file."""

    process: BaseProcess
    errors: Path

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds, or the process has ended."""
        end = time.monotonic() + PATIENCE
        while not condition() and self.process.is_alive():
            assert time.monotonic() < end, "the run hangs"
            time.sleep(0.005)

    def status(self) -> int | None:
        """Wait for the end; return the exit status."""
        self.process.join(PATIENCE)
        assert not self.process.is_alive(), "the run hangs"
        return self.process.exitcode

    @property
    def said(self) -> str:
        """Everything on standard error."""
        return self.errors.read_text()


def start(
    arguments: list[str],
    errors: Path,
    *,
    file_limit: int | None = None,
    before: Callable[[], None] | None = None,
) -> Running:
    """Start `vesuv <arguments>`; no file that it writes may become larger than the limit.

    `before` is called in the new process first.
    """
    process = _CONTEXT.Process(target=_command, args=(arguments, str(errors), file_limit, before))
    process.start()
    return Running(process, errors)


@dataclass(frozen=True)
class KilledAtRename:
    """Called in a process, it kills it at a rename: each file there is whole is put there so."""

    number: int
    """Which rename, from 1."""
    done: bool
    """Whether just behind it or just before it."""

    def __call__(self) -> None:
        """Lie in wait."""
        rename = os.replace
        count = itertools.count(1)

        def fatal(source: str, target: str) -> None:
            hit = next(count) == self.number
            if not hit or self.done:
                rename(source, target)
            if hit:
                os.kill(os.getpid(), signal.SIGKILL)

        os.replace = fatal  # type: ignore[assignment]


def _command(
    arguments: list[str], errors: str, file_limit: int | None, before: Callable[[], None] | None
) -> None:
    torch.set_num_threads(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    if before is not None:
        before()
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most if file_limit is None else file_limit, most))
    try:
        main(arguments)
    finally:  # a measurement of coverage writes its own file at the end of a process
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

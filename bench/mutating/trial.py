"""A bug that is planted in a copy of the tree, and the first test that fails by it."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from pytest import ExitCode

REPOSITORY = Path(__file__).parents[2]
_PRELOADED = ["pytest", "torch", "monai.networks.nets", "scipy.ndimage"]
"""Modules that every process of tests finds loaded: their import takes longer than most tests."""
_OPTIONS = ("-x", "-q", "-m", "not slow", "-p", "no:cacheprovider")
_OPTIONS += ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # of what is loaded already


@dataclass(frozen=True)
class Mutant:
    """One planted bug.

    Args:
        name: The mistake, in words.
        module: File below `vesuv`.
        before: Text that stands in the file exactly once.
        after: Text in its place.
    """

    name: str
    module: str
    before: str
    after: str

    def source(self, repository: Path = REPOSITORY) -> Path:
        """Return the file in a copy of the tree."""
        return repository / "vesuv" / self.module

    def tests(self, *, near: bool = False) -> list[tuple[str, ...]]:
        """Return what is tried in turn: tests of the module, tests that import it, its folder.

        Args:
            near: Leave the folder out, unless there is nothing else.
        """
        folder = (REPOSITORY / "tests" / self.module).parent
        own = folder / f"test_{Path(self.module).name}"
        name = ".".join(("vesuv", *Path(self.module).with_suffix("").parts))
        imports = re.compile(rf"\b{re.escape(name)}\b")
        importing = [
            path
            for path in sorted(folder.rglob("test_*.py"))
            if path != own and imports.search(path.read_text())
        ]
        turns = [turn for turn in ([own] if own.is_file() else [], importing) if turn]
        if not near or not turns:
            turns.append([folder])
        return [tuple(str(path.relative_to(REPOSITORY)) for path in turn) for turn in turns]


class Copy:
    """A copy of the working tree, in which bugs are planted one after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._times = itertools.count(1)
        tracked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(tracked, cwd=REPOSITORY, capture_output=True, check=True).stdout
        for name in filter(None, listed.decode().split("\0")):
            if (REPOSITORY / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, folder / name)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOADED)

    def catching_test(self, mutant: Mutant, *, near: bool = False) -> str | None:
        """Return the first test that fails with the bug; None: all pass.

        Args:
            mutant: The bug.
            near: As for `Mutant.tests`.

        Raises:
            ValueError: The text is not in the file exactly once.
        """
        source = mutant.source(self.folder)
        text = source.read_text()
        if text.count(mutant.before) != 1:
            raise ValueError(f"{mutant.name}: {mutant.before!r} must stand once in {source}")
        self._write(source, text.replace(mutant.before, mutant.after))
        try:
            failures = (self.first_failure(*places) for places in mutant.tests(near=near))
            return next(filter(None, failures), None)
        finally:
            self._write(source, text)

    def first_failure(self, *places: str) -> str | None:
        """Run tests up to the first failure and return its name, or None when all pass.

        Raises:
            RuntimeError: They do not run.
        """
        receiver, sender = self._context.Pipe(duplex=False)
        arguments = (self.folder, places, sender)
        process = self._context.Process(target=_run_tests, args=arguments)
        process.start()
        sender.close()
        try:
            status, failure = receiver.recv()
        except EOFError:
            raise RuntimeError(f"the process that tests {', '.join(places)} has died") from None
        process.join()
        if failure is None and status not in (ExitCode.OK, ExitCode.NO_TESTS_COLLECTED):
            raise RuntimeError(f"{', '.join(places)}: pytest ended with status {status}")
        return failure

    def _write(self, source: Path, text: str) -> None:
        """Write a module; each time is new, so that Python compiles it again."""
        source.write_text(text)
        os.utime(source, (next(self._times),) * 2)


class _FirstFailure:
    """Plugin of pytest that keeps the name of the first failure."""

    def __init__(self) -> None:
        self.name: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.name is None:
            self.name = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self.name is None:
            self.name = report.nodeid


def _run_tests(folder: Path, places: Sequence[str], sender: Connection) -> None:
    """Run tests in this process, whose modules of vesuv are those of the folder."""
    os.chdir(folder)
    sys.path[:] = [str(folder), *(path for path in sys.path if path != str(REPOSITORY))]
    os.environ["PYTHONPATH"] = str(folder)  # for programs that tests start
    first = _FirstFailure()
    with Path(os.devnull).open("w") as nothing, contextlib.redirect_stdout(nothing):
        status = pytest.main([*_OPTIONS, *places], plugins=[first])
    sender.send((status, first.name))

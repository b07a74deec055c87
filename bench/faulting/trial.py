"""A command that is killed at each of its changes of names and started again."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.faulting.scenarios import Scenario, Words, lay_out
from tests.faults.ends import assert_same_end, digest, end_of, leftovers
from tests.faults.name_changes import KilledAtNameChange
from tests.faults.runs import Running, start


@dataclass(frozen=True)
class Result:
    """What came of a command that was killed once."""

    end: str
    """same, or in which way it is another one."""
    leftovers: tuple[str, ...] = ()
    """Temporary files of the killed process that the second one did not remove."""
    again: int = 0
    """Which of the commands to go on with ended well, from 0."""


class Bench:
    """A folder in which commands are killed, and the states from which they start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.states = folder / "states"
        self.errors = folder / "errors.txt"
        self.state = cache(self._state)

    def start(self, words: Words, before: Callable[[], None] | None = None) -> Running:
        """Start a command in the working folder."""
        arguments = [word.replace("{w}", str(self.work)) for word in words]
        return start(arguments, self.errors, before=before)

    def finish(self, words: Words) -> None:
        running = self.start(words)
        assert running.status() == 0, (words, running.said)

    def reset(self, state: Path) -> None:
        """Make the working folder equal to a state, times of files included."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(state, self.work, symlinks=True)

    def _state(self, before: tuple[Words, ...]) -> Path:
        """Return a copy of the working folder as these commands leave it."""
        if before:
            self.reset(self.state(before[:-1]))
            self.finish(before[-1])
        else:
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir(parents=True)
            lay_out(self.work)
        state = self.states / str(len(list(self.states.glob("*"))))
        shutil.copytree(self.work, state, symlinks=True)
        return state


class Trial:
    """One scenario: its uninterrupted end, and copies of it that are killed once."""

    def __init__(self, bench: Bench, scenario: Scenario) -> None:
        self.bench, self.scenario = bench, scenario
        bench.reset(bench.state(scenario.before))
        if scenario.edit is not None:
            scenario.edit(bench.work)
        self.begin = bench.folder / "begin"
        shutil.rmtree(self.begin, ignore_errors=True)
        shutil.copytree(bench.work, self.begin, symlinks=True)
        record = bench.folder / "changes.txt"
        record.unlink(missing_ok=True)
        running = bench.start(scenario.command, KilledAtNameChange(bench.work, 0, record=record))
        assert running.status() == 0, (scenario.command, running.said)
        self.end = end_of(bench.work)
        text = record.read_text() if record.is_file() else ""
        self.results: dict[str, Result] = {}
        """What came of each state of the files; equal ones are tried once."""
        self.changes = [line.replace(str(bench.work), "") for line in text.splitlines()]

    def kill(self, number: int, done: bool) -> Result:
        """Kill the command at a change of names, go on as a user would, and compare the end."""
        bench = self.bench
        bench.reset(self.begin)
        killer = KilledAtNameChange(bench.work, number, done)
        running = bench.start(self.scenario.command, killer)
        status = running.status()
        if status != -signal.SIGKILL:
            return Result(f"not killed, status {status} ({running.said.strip()[-200:]})")
        state = digest(bench.work, running.process.pid)
        result = self.results.get(state) or self._go_on()
        self.results[state] = result
        return result

    def _go_on(self) -> Result:
        bench = self.bench
        commands = self.scenario.again or (self.scenario.command,)
        again, running = 0, bench.start(commands[0])
        while (status := running.status()) == 2 and again + 1 < len(commands):
            again += 1
            running = bench.start(commands[again])
        if status != 0:
            return Result(f"status {status} ({running.said.strip()[-300:]})")
        remains = tuple(leftovers(bench.work))
        try:
            assert_same_end(self.end, end_of(bench.work))
        except AssertionError as fault:
            return Result(f"another end ({fault!s:.300})", remains, again)
        return Result("same", remains, again)

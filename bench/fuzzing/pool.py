"""Starts workers and goes on behind an input that killed or stopped one."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SILENCE_SECONDS = 60.0
"""A worker that says nothing for so long hangs; far beyond what one input may take."""


@dataclass
class Tally:
    """What became of a target's inputs."""

    target: str
    accepted: int = 0
    refused: int = 0
    faults: dict[int, str] = field(default_factory=dict)

    @property
    def tried(self) -> int:
        """Inputs that were tried."""
        return self.accepted + self.refused + len(self.faults)


def fuzz(
    target: str,
    inputs: int,
    seed: int,
    *,
    tell: Callable[[int], None] = lambda _number: None,
) -> Tally:
    """Try a number of inputs on a target, in a process that may die of them."""
    tally = Tally(target)
    first = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while first < inputs:
            first = _one_worker(tally, first, inputs, seed, Path(folder), tell)
    return tally


def _one_worker(
    tally: Tally, first: int, inputs: int, seed: int, folder: Path, tell: Callable[[int], None]
) -> int:
    """Return the number of the input to go on with."""
    script = Path(__file__).parents[1] / "fuzz.py"
    arguments = [tally.target, str(seed), str(first), str(inputs), str(folder)]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [sys.executable, str(script), "--worker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"},
        )
        number: int | None = None
        try:
            for line in _lines(process):
                if "begins" in line:
                    number = line["number"]
                    continue
                _count(tally, line)
                tell(tally.tried)
                number = None
            process.wait()
        except TimeoutError:
            process.kill()
            process.wait()
            assert number is not None, "the worker does not start"
            tally.faults[number] = f"hangs for more than {SILENCE_SECONDS:g} s"
            return number + 1
        if number is None and process.returncode == 0:
            return inputs
        complaints.seek(0)
        said = complaints.read().decode(errors="replace")[-1500:]
        if number is None:
            raise RuntimeError(f"the worker of {tally.target} ended by itself: {said}")
        kind = process.returncode
        name = signal.Signals(-kind).name if kind < 0 else f"status {kind}"
        tally.faults[number] = f"the process ended ({name}) {said}"
        return number + 1


def _lines(process: subprocess.Popen[bytes]) -> Any:
    """Lines of JSON as they come.

    Raises:
        TimeoutError: None came for a long time.
    """
    assert process.stdout is not None
    rest = b""
    while True:
        ready, _, _ = select.select([process.stdout], [], [], SILENCE_SECONDS)
        if not ready:
            raise TimeoutError
        piece = os.read(process.stdout.fileno(), 1 << 16)
        if not piece:
            return
        *whole, rest = (rest + piece).split(b"\n")
        yield from (json.loads(line) for line in whole)


def _count(tally: Tally, line: dict[str, Any]) -> None:
    if line["outcome"] == "accepted":
        tally.accepted += 1
    elif line["outcome"] == "refused":
        tally.refused += 1
    else:
        tally.faults[line["number"]] = line["detail"]

"""Starts workers and goes on behind an input that killed or stopped one."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
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


def fuzz(inputs: Mapping[str, int], seed: int) -> list[Tally]:
    """Try so many inputs of each target, in a process that may die of them."""
    tallies = [Tally(name) for name in inputs]
    place = (0, 0)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while place[0] < len(tallies):
            place = _one_worker(tallies, place, inputs, seed, Path(folder))
    return tallies


def _one_worker(
    tallies: list[Tally],
    place: tuple[int, int],
    inputs: Mapping[str, int],
    seed: int,
    folder: Path,
) -> tuple[int, int]:
    """Start at a target and an input; return where to go on when the process is gone."""
    script = Path(__file__).parents[1] / "fuzz.py"
    left = {tally.target: inputs[tally.target] for tally in tallies[place[0] :]}
    arguments = [json.dumps(left), str(seed), str(place[1]), str(folder)]
    by_name = {tally.target: tally for tally in tallies}
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [sys.executable, str(script), "--worker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        tried: dict[str, Any] | None = None
        end = f"hangs for more than {SILENCE_SECONDS:g} s"
        try:
            for line in _lines(process):
                tried = line if "outcome" not in line else None
                if tried is None:
                    _count(by_name[line["target"]], line)
            process.wait()
            complaints.seek(0)
            said = complaints.read().decode(errors="replace")[-1500:]
            end = f"the process ended with status {process.returncode}: {said}"
        except TimeoutError:
            process.kill()
            process.wait()
        finally:
            assert process.stdout is not None
            process.stdout.close()
    if tried is None:
        if process.returncode:
            raise RuntimeError(f"a worker could not go on: {end}")
        return len(tallies), 0
    by_name[tried["target"]].faults[tried["number"]] = end
    index = [tally.target for tally in tallies].index(tried["target"])
    following = tried["number"] + 1
    return (index, following) if following < inputs[tried["target"]] else (index + 1, 0)


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

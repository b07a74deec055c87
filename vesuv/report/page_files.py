"""A run folder's files as the page needs them; what is missing or half written is left out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from vesuv.config import Config, load_config
from vesuv.errors import InputError

Point = tuple[float, float]
Facts = dict[str, Any]
_GREATEST = 1e30
"""What no measure reaches; beyond it the arithmetic of axes overflows."""


@dataclass(frozen=True)
class Metrics:
    """metrics.csv by column; a cell without a number is no point, nan and inf are."""

    columns: dict[str, list[Point]] = field(default_factory=dict)

    def points(self, name: str) -> list[Point]:
        """Return (epoch, value) of a column, by epoch; [] where there is none."""
        return self.columns.get(name, [])

    def last(self, name: str) -> float | None:
        """Return a column's newest number."""
        points = self.points(name)
        return points[-1][1] if points else None

    def at(self, name: str, epoch: float) -> float | None:
        """Return a column's number of an epoch."""
        return next((value for when, value in self.points(name) if when == epoch), None)

    @property
    def last_epoch(self) -> int | None:
        """Epoch of the newest row."""
        points = self.points("epoch")
        return int(points[-1][0]) if points else None


@dataclass(frozen=True)
class RunFiles:
    """What lies in a run folder; None and empty where a file does not, or cannot be read."""

    path: Path
    config: Config | None
    config_text: str
    facts: Facts
    metrics: Metrics
    events: list[Facts]
    evidence: list[Facts]
    diagnosis: Facts | None
    selection: Facts | None

    @property
    def measure(self) -> str:
        """The measure that scheduler and "best" watch."""
        return self.config.validation.measure if self.config else "dice"

    @property
    def ended(self) -> str | None:
        """Why the run ended; None while it goes on, a resumed one included."""
        turns = [event for event in self.events if event.get("kind") in ("stop", "resume")]
        if not turns or turns[-1].get("kind") != "stop":
            return None
        return str(turns[-1].get("line") or "The run ended")

    def best(self) -> Point | None:
        """Return epoch and value of the best watched measure."""
        points = finite(self.metrics.points(f"val/{self.measure}"))
        return max(points, key=lambda point: (point[1], -point[0]), default=None)

    def latest(self, *names: str) -> Facts | None:
        """Return the newest line of evidence that holds all of `names`."""
        return next((e for e in reversed(self.evidence) if all(n in e for n in names)), None)


def read_files(run: Path) -> RunFiles:
    """Read a run folder."""
    config, text = _config(run / "config.yaml")
    diagnosis = _mapping(run / "diagnosis.json")
    return RunFiles(
        path=run,
        config=config,
        config_text=text,
        facts=_mapping(run / "run.json") or {},
        metrics=_metrics(run / "metrics.csv"),
        events=[event for event in _lines(run / "events.jsonl") if number(event.get("epoch"))],
        evidence=_by_epoch(_lines(run / "evidence.jsonl")),
        diagnosis=diagnosis,
        selection=_mapping(run / "distribution" / "summary.json"),
    )


def finite(points: Sequence[Point]) -> list[Point]:
    """Return the points whose value an axis can hold: neither nan nor infinite."""
    return [point for point in points if number(point[1])]


def number(value: Any) -> TypeGuard[float]:
    """Say whether `value` is a number that an axis can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_GREATEST < value < _GREATEST


def mapping(value: Any) -> Facts:
    """Return `value` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def records(value: Any) -> list[Facts]:
    """Return the mappings of a list; [] for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _config(path: Path) -> tuple[Config | None, str]:
    try:
        return load_config(path), _text(path)
    except InputError:
        return None, _text(path)


def _mapping(path: Path) -> Facts | None:
    return next(iter(_parsed([_text(path)])), None)


def _lines(path: Path) -> list[Facts]:
    return list(_parsed(_text(path).splitlines()))


def _by_epoch(lines: list[Facts]) -> list[Facts]:
    """The last line of each epoch, in order."""
    newest = {line["epoch"]: line for line in lines if number(line.get("epoch"))}
    return [newest[epoch] for epoch in sorted(newest)]


def _parsed(texts: list[str]) -> Iterator[Facts]:
    """The JSON objects among `texts`; a line that was cut short is none."""
    for text in texts:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value


def _metrics(path: Path) -> Metrics:
    text = _text(path)
    complete = text[: text.rfind("\n") + 1]
    rows: dict[float, dict[str, str]] = {}
    for row in csv.DictReader(io.StringIO(complete)):
        epoch = _float(row.get("epoch"))
        if number(epoch):
            rows[epoch] = row
    columns: dict[str, list[Point]] = {}
    for epoch in sorted(rows):
        for name, cell in rows[epoch].items():
            value = _float(cell)
            if value is not None and isinstance(name, str):
                columns.setdefault(name, []).append((epoch, value))
    return Metrics(columns)


def _float(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


Section = Callable[[RunFiles], str]
"""A section of the page: what it says of the files, as HTML; empty where it has nothing to say."""

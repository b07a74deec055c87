"""Everything readable that a run has written so far, also a run that was killed.

Missing or damaged files and truncated lines are left out without an error. Files that a command
needs are read by `vesuv.runs.folder`, which raises.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from vesuv.config import Config
from vesuv.errors import InputError
from vesuv.files import read_text
from vesuv.io.tables import plain_cell, read_json_or_none
from vesuv.runs.fields import MAX_EPOCH, Record
from vesuv.runs.folder import RunFolder
from vesuv.runs.observation import Observation
from vesuv.runs.records import Diagnosis, RunEvent, RunFacts, SelectedChoice, SelectionSummary

Row = dict[str, float]
"""A line of metrics.csv: column -> number."""
Point = tuple[int, float]
"""Epoch and number."""

Kind = TypeVar("Kind", bound=Record)


@dataclass(frozen=True)
class Metrics:
    """metrics.csv by epoch; cells without a number are left out, nan and inf are numbers."""

    rows: tuple[Row, ...] = ()

    @cached_property
    def _by_epoch(self) -> dict[int, Row]:
        return {int(row["epoch"]): row for row in self.rows}

    @cached_property
    def columns(self) -> list[str]:
        """Names of all columns, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def by_class(self, name: str) -> dict[str, str]:
        """Return class -> its column of a score, such as `val/dice[bone]` of `val/dice`."""
        return {
            column[len(name) + 1 : -1]: column
            for column in self.columns
            if column.startswith(f"{name}[") and column.endswith("]")
        }

    @property
    def last_epoch(self) -> int | None:
        """Epoch of the newest row."""
        return int(self.rows[-1]["epoch"]) if self.rows else None

    def points(self, name: str, *, finite: bool = True) -> list[Point]:
        """Return (epoch, value) of a column, by epoch.

        Args:
            name: Column.
            finite: Leave nan and inf out.
        """
        points = [(int(row["epoch"]), row[name]) for row in self.rows if name in row]
        return [point for point in points if math.isfinite(point[1])] if finite else points

    def value_at(self, name: str, epoch: int) -> float | None:
        """Return the finite value of a column at an epoch."""
        value = self._by_epoch.get(epoch, {}).get(name)
        return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True)
class RunHistory:
    """A run's files; None or empty where a file is missing or cannot be read."""

    path: Path
    config: Config | None = None
    config_text: str = ""
    facts: RunFacts | None = None
    metrics: Metrics = field(default_factory=Metrics)
    events: tuple[RunEvent, ...] = ()
    observations: tuple[Observation, ...] = ()
    """One for each epoch, by epoch."""
    diagnosis: Diagnosis | None = None
    selection: SelectionSummary | None = None
    """distribution/summary.json, in the run or beside several runs that were selected jointly."""

    @classmethod
    def read(cls, path: Path) -> RunHistory:
        """Read a run's folder."""
        lines = _records(path / "evidence.jsonl", Observation)
        observations = {line.epoch: line for line in lines}
        return cls(
            path=path,
            config=_config(RunFolder(path)),
            config_text=_text(path / "config.yaml"),
            facts=_record(path / "run.json", RunFacts),
            metrics=Metrics(tuple(_rows(path / "metrics.csv"))),
            events=tuple(_records(path / "events.jsonl", RunEvent)),
            observations=tuple(observations[epoch] for epoch in sorted(observations)),
            diagnosis=_record(path / "diagnosis.json", Diagnosis),
            selection=_selection(path),
        )


def _rows(path: Path) -> Iterator[Row]:
    """Read the complete lines; of several lines of one epoch the last counts."""
    text = _text(path)
    rows: dict[int, Row] = {}
    with suppress(csv.Error):  # a cell above csv's size limit: the rest of the file is left out
        for cells in csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])):
            row = {
                plain_cell(name): value
                for name, cell in cells.items()
                if isinstance(name, str) and (value := _number(cell)) is not None
            }
            epoch = row.get("epoch", math.nan)
            if 0 <= epoch <= MAX_EPOCH and epoch == int(epoch):
                rows[int(epoch)] = row
    yield from (rows[epoch] for epoch in sorted(rows))


def _records(path: Path, kind: type[Kind]) -> Iterator[Kind]:
    for line in _text(path).splitlines():
        try:
            yield kind.model_validate(json.loads(line))
        except (ValidationError, ValueError, RecursionError):
            continue


def _record(path: Path, kind: type[Kind]) -> Kind | None:
    try:
        return kind.model_validate(read_json_or_none(path))
    except ValidationError:
        return None


def _selection(path: Path) -> SelectionSummary | None:
    """Read the summary that selected.json belongs to; without a match, selected.json alone."""
    summaries = [
        _record(folder / "distribution" / "summary.json", SelectionSummary)
        for folder in (path, path.resolve().parent)
    ]
    selected = _record(path / "selected.json", SelectedChoice)
    if selected is None:
        return summaries[0]
    matching = (one for one in summaries if one is not None and one.selected == selected)
    return next(matching, SelectionSummary(selected=selected))


def _config(run: RunFolder) -> Config | None:
    try:
        return run.config
    except InputError:
        return None


def _text(path: Path) -> str:
    try:
        return read_text(path, errors="replace")
    except OSError:
        return ""


def _number(cell: str | list[str] | None) -> float | None:
    try:
        return float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None

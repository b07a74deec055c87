"""All that is known of a run, read from its folder: finished, running, or killed halfway."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vesuv.config import Config, load_config
from vesuv.diagnosis.observation import Labels, Observation
from vesuv.errors import InputError

Row = dict[str, float]
Point = tuple[int, float]


@dataclass(frozen=True)
class Event:
    """A line of events.jsonl."""

    epoch: int
    kind: str
    line: str


@dataclass(frozen=True)
class Evidence:
    """What the findings look at; empty where a file is missing or a line is half written."""

    path: Path
    config: Config
    rows: tuple[Row, ...] = ()
    """metrics.csv by epoch, without the cells that hold no number."""
    events: tuple[Event, ...] = ()
    observations: tuple[Observation, ...] = ()
    """evidence.jsonl by epoch."""
    labels: Labels | None = None
    """From the store's census, or what was kept of it in evidence.jsonl."""
    facts: dict[str, Any] = field(default_factory=dict)
    """run.json."""

    @classmethod
    def read(cls, path: Path) -> Evidence:
        """Read a run folder.

        Raises:
            InputError: It holds no configuration that can be read.
        """
        if not (path / "config.yaml").is_file():
            raise InputError(
                f"{path}: not a run folder (no config.yaml); name log/<config>/fold_<k>"
            )
        facts = _json(path / "run.json")
        observations = tuple(_observations(path / "evidence.jsonl"))
        kept = next((o.labels for o in observations if o.labels is not None), None)
        return cls(
            path=path,
            config=load_config(path / "config.yaml"),
            rows=tuple(_rows(path / "metrics.csv")),
            events=tuple(_events(path / "events.jsonl")),
            observations=observations,
            labels=_census(facts) or kept,
            facts=facts,
        )

    @property
    def epoch(self) -> int:
        """The last epoch that anything is known of; -1 before the first."""
        epochs = [int(row["epoch"]) for row in self.rows[-1:]]
        return max([*epochs, *(o.epoch for o in self.observations[-1:])], default=-1)

    @cached_property
    def _by_epoch(self) -> dict[int, Row]:
        return {int(row["epoch"]): row for row in self.rows}

    def at(self, name: str, epoch: int) -> float | None:
        """Return a column's number of an epoch."""
        return self._by_epoch.get(epoch, {}).get(name)

    def points(self, name: str) -> list[Point]:
        """Return (epoch, number) of a column, where there is one."""
        return [(int(row["epoch"]), row[name]) for row in self.rows if name in row]

    def values(self, name: str, last: int) -> list[float]:
        """Return a column's `last` numbers, or as many as there are."""
        return [value for _, value in self.points(name)[-last:]]

    def weights(self, epoch: int) -> dict[str, float]:
        """Return the weight of each loss term in an epoch, without those of weight 0."""
        row = self._by_epoch.get(epoch, {})
        found = {n.removeprefix("weight/"): w for n, w in row.items() if n.startswith("weight/")}
        return {name: weight for name, weight in found.items() if weight}

    @property
    def validated(self) -> list[int]:
        """Epochs with a validation."""
        return [epoch for epoch, _ in self.points("val/dice")]


def _rows(path: Path) -> Iterator[Row]:
    text = _text(path)
    rows: dict[int, Row] = {}
    for cells in csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])):
        row = {name: value for name, cell in cells.items() if (value := _number(cell)) is not None}
        if "epoch" in row:
            rows[int(row["epoch"])] = row
    yield from (rows[epoch] for epoch in sorted(rows))


def _events(path: Path) -> Iterator[Event]:
    for line in _lines(path):
        epoch, kind, text = line.get("epoch"), line.get("kind"), line.get("line")
        if isinstance(epoch, int) and isinstance(kind, str) and isinstance(text, str):
            yield Event(epoch, kind, text)


def _observations(path: Path) -> Iterator[Observation]:
    found: dict[int, Observation] = {}
    for line in _lines(path):
        try:
            observation = Observation.model_validate(line)
        except ValidationError:
            continue
        found[observation.epoch] = observation
    yield from (found[epoch] for epoch in sorted(found))


def _census(facts: dict[str, Any]) -> Labels | None:
    store = facts.get("store")
    if not isinstance(store, str):
        return None
    return read_labels(Path(store))


def read_labels(store: Path) -> Labels | None:
    """Return what census.json of a store says of the labels; None when it is not there."""
    try:
        return Labels.model_validate(_json(store / "census.json"))
    except ValidationError:
        return None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for text in _text(path).splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict):
            yield line


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(cell: str | list[str] | None) -> float | None:
    try:
        value = float(cell)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None

"""The run as a whole: how far it came, how well it does, how long it takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from statistics import median
from typing import Any

from vesuv.config.differences import default_differences
from vesuv.report.formats import LIMIT
from vesuv.runs.history import Point, RunHistory

_RECENT = 5
"""Epochs that the present pace is taken from."""


@dataclass(frozen=True)
class Overview:
    """Figures of a run's whole history."""

    history: RunHistory

    @property
    def measure(self) -> str:
        """The measure that the schedule and "best" follow."""
        return self.history.config.validation.measure if self.history.config else "dice"

    @property
    def num_finished(self) -> int:
        last = self.history.metrics.last_epoch
        return 0 if last is None else last + 1

    @property
    def num_planned(self) -> int | None:
        """Epochs of the whole run; None without a configuration."""
        return self.history.config.train.epochs if self.history.config else None

    @property
    def end(self) -> str | None:
        """Why the run ended; None while it goes on, a resumed one included."""
        turns = [event for event in self.history.events if event.kind in ("stop", "resume")]
        return (turns[-1].line or "The run ended") if turns and turns[-1].kind == "stop" else None

    @property
    def started(self) -> datetime | None:
        try:
            return datetime.fromisoformat(getattr(self.history.facts, "started", None) or "")
        except ValueError:
            return None

    @property
    def software(self) -> str:
        """Versions that the run was started with."""
        facts = self.history.facts
        if facts is None:
            return ""
        named = {"vesuv": facts.vesuv, "Python": facts.python, **facts.packages}
        named["commit"] = facts.git_commit and facts.git_commit[:12]
        return ", ".join(f"{name} {version}" for name, version in named.items() if version)

    @property
    def loss_terms(self) -> list[str]:
        """Names of the loss terms that metrics.csv holds."""
        terms = (column.partition("/loss_") for column in self.history.metrics.columns)
        return list(
            dict.fromkeys(name for part, _, name in terms if part in ("val", "train") and name)
        )

    @property
    def training_tiles(self) -> list[Point]:
        """The measure on tiles of training cases, by epoch."""
        return [
            (observation.epoch, getattr(observation.train, self.measure))
            for observation in self.history.observations
            if hasattr(observation.train, self.measure)
        ]

    @property
    def base_differences(self) -> list[dict[str, Any]] | None:
        """What differs from the configuration's base; None where that is not known.

        None too for a file without a base, whose differences are those from the defaults.
        """
        facts = self.history.facts
        stored = None if facts is None else facts.base_differences
        if stored is None or _by_key(stored) == _by_key(self.default_differences):
            return None
        return list(stored)

    @cached_property
    def default_differences(self) -> list[dict[str, Any]]:
        """What differs from the built-in defaults."""
        return default_differences(self.history.config) if self.history.config else []

    def best(self, column: str) -> Point | None:
        """Return epoch and value of a column's greatest value, the first of equal ones."""
        points = self.history.metrics.points(column)
        return max(points, key=lambda point: (point[1], -point[0]), default=None)

    def recent(self, column: str) -> float | None:
        """Return the median of a column's last epochs: a single slow one changes nothing."""
        values = [value for _, value in self.history.metrics.points(column)[-_RECENT:]]
        return median(values) if values else None

    @property
    def seconds_left(self) -> float | None:
        """Training time of the epochs to come, at the pace of the last ones."""
        pace = self.recent("seconds")
        if pace is None or self.num_planned is None:
            return None
        return max(0, min(self.num_planned - self.num_finished, LIMIT)) * pace


def _by_key(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(row.get("key")): row for row in rows}

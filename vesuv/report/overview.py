"""Progress, best scores and speed of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from statistics import median
from typing import Any

from vesuv.config.differences import default_differences
from vesuv.io.printable import printable
from vesuv.report.formats import MAX_NUMBER
from vesuv.runs.history import Point, RunHistory

_RECENT = 5
"""Number of last epochs for the current speed."""


@dataclass(frozen=True)
class Overview:
    """Key figures of a run's history."""

    history: RunHistory

    @property
    def measure(self) -> str:
        """The measure of the schedule and the best checkpoint."""
        if self.is_reconstruction:
            return "explained_variance"
        return self.history.config.validation.measure if self.history.config else "dice"

    @property
    def is_reconstruction(self) -> bool:
        """Whether the network learns masked blocks of images, not labels."""
        config = self.history.config
        return config is not None and config.train.task == "reconstruction"

    @cached_property
    def class_names(self) -> list[str]:
        """Foreground classes or regions if there are several; empty for two classes."""
        if self.history.config is None:
            return list(self.history.metrics.by_class("val/labelled_fraction"))
        targets = self.history.config.labels.targets
        return [printable(name) for name in targets.names] if targets.has_several else []

    @property
    def class_words(self) -> tuple[str, str]:
        """What `class_names` are, one and several."""
        is_region = self.history.config is not None and self.history.config.labels.targets.overlap
        return ("region", "regions") if is_region else ("class", "classes")

    @property
    def measure_name(self) -> str:
        """The measure, named as a mean where it is one over classes."""
        if self.is_reconstruction:
            return "explained variance"
        is_mean = self.class_names and self.measure != "accuracy"
        return f"mean {self.measure}" if is_mean else self.measure

    @property
    def num_finished_epochs(self) -> int:
        last = self.history.metrics.last_epoch
        return 0 if last is None else last + 1

    @property
    def num_planned_epochs(self) -> int | None:
        """Epochs of the whole run; None without a configuration."""
        return self.history.config.train.epochs if self.history.config else None

    @property
    def end_reason(self) -> str | None:
        """Reason for the end of the run; None for a running run, also one that was resumed."""
        events = [event for event in self.history.events if event.kind in ("stop", "resume")]
        if not events or events[-1].kind != "stop":
            return None
        return events[-1].line or "The run ended"

    @property
    def started(self) -> datetime | None:
        try:
            return datetime.fromisoformat(getattr(self.history.facts, "started", None) or "")
        except ValueError:
            return None

    @property
    def software(self) -> str:
        """Software versions at the start of the run."""
        facts = self.history.facts
        if facts is None:
            return ""
        versions = {"vesuv": facts.vesuv, "Python": facts.python, **facts.packages}
        versions["commit"] = facts.git_commit and facts.git_commit[:12]
        return ", ".join(f"{name} {version}" for name, version in versions.items() if version)

    @property
    def loss_terms(self) -> list[str]:
        """Names of the loss terms in metrics.csv."""
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
        """Differences from the configuration's base; None for a file without a base.

        A file without a base stores its differences from the defaults.
        """
        facts = self.history.facts
        stored = None if facts is None else facts.base_differences
        if stored is None or _by_key(stored) == _by_key(self.default_differences):
            return None
        return list(stored)

    @cached_property
    def default_differences(self) -> list[dict[str, Any]]:
        """Differences from the built-in defaults."""
        return default_differences(self.history.config) if self.history.config else []

    def best_point(self, column: str) -> Point | None:
        """Return epoch and value of a column's maximum, the first of equal ones."""
        points = self.history.metrics.points(column)
        return max(points, key=lambda point: (point[1], -point[0]), default=None)

    def recent_median(self, column: str) -> float | None:
        """Return the median of a column over the last epochs, which ignores a single slow epoch."""
        values = [value for _, value in self.history.metrics.points(column)[-_RECENT:]]
        return median(values) if values else None

    @property
    def seconds_left(self) -> float | None:
        """Estimated training time of the remaining epochs."""
        epoch_seconds = self.recent_median("seconds")
        if epoch_seconds is None or self.num_planned_epochs is None:
            return None
        num_remaining = self.num_planned_epochs - self.num_finished_epochs
        return max(0, min(num_remaining, MAX_NUMBER)) * epoch_seconds


def _by_key(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {str(row.get("key")): row for row in rows}

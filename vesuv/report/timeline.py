"""The epochs that all charts share: phases behind the lines, events as marks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from vesuv.config.loss import Phase
from vesuv.report.axis import Axis, Tick
from vesuv.runs.history import RunHistory
from vesuv.runs.records import RunEvent

_KINDS = {
    "noise": ("noise", "weight noise"),
    "escape": ("escape", "plateau escape"),
    "learning_rate": ("lr", "learning rate changed"),
    "non_finite": ("NaN", "non-finite loss or gradient"),
    "rollback": ("back", "rolled back"),
    "resume": ("resume", "resumed"),
    "stop": ("stop", "run ended"),
}
"""Kind of event -> its name beside the chart, and in words."""
_ACROSS = ("escape", "learning_rate", "non_finite", "rollback", "resume")
"""Kinds that are drawn through every chart; noise comes too often."""


@dataclass(frozen=True)
class PhaseSpan:
    """A phase of the loss, and where it lies on the axis, in per cent."""

    phase: Phase
    start: float
    end: float

    @property
    def width(self) -> float:
        return round(self.end - self.start, 2)

    @property
    def epochs(self) -> str:
        first, last = self.phase.epochs
        return f"from {first}" if last is None else f"{first}–{last}"

    @property
    def weights(self) -> str:
        named = ", ".join(f"{name} {w:g}" for name, w in self.phase.weights.items() if w)
        return named + (f" (over {self.phase.ramp} epochs)" if self.phase.ramp else "")


@dataclass(frozen=True)
class Timeline:
    """Phases and events from the first epoch to the last one that ran."""

    NEWEST: ClassVar[int] = 200
    """Events of a kind that are marked; more would be one bar."""

    last: int
    phases: tuple[Phase, ...]
    events: tuple[RunEvent, ...]

    @classmethod
    def of(cls, history: RunHistory) -> Timeline:
        epochs = [observation.epoch for observation in history.observations]
        last = max(history.metrics.last_epoch or 0, *epochs, 0)
        return cls(last, history.config.phases if history.config else (), history.events)

    @property
    def axis(self) -> Axis:
        return Axis(-0.5, self.last + 0.5)

    @property
    def ticks(self) -> list[Tick]:
        return self.axis.ticks(6, whole=True)

    @property
    def changes(self) -> list[int]:
        """First epochs of all phases but the first."""
        return [phase.epochs[0] for phase in self.phases[1:]]

    def at(self, epoch: float) -> float:
        """Return the position of an epoch in per cent; one beyond the axis lies at its end."""
        return self.axis.at(min(max(epoch, self.axis.low), self.axis.high))

    @cached_property
    def spans(self) -> list[PhaseSpan]:
        """All phases; one that has not begun starts and ends at the right end of the axis."""
        spans = []
        for phase in self.phases:
            first, last = phase.epochs
            end = self.last if last is None else min(last, self.last)
            start = min(first, self.last + 1)
            spans.append(PhaseSpan(phase, self.at(start - 0.5), self.at(end + 0.5)))
        return spans

    @cached_property
    def kinds(self) -> dict[str, list[RunEvent]]:
        """Events by kind, known kinds first; changes of phase are left to the shading."""
        kinds: dict[str, list[RunEvent]] = {kind: [] for kind in _KINDS}
        for event in self.events:
            kinds.setdefault(event.kind, []).append(event)
        return {kind: events for kind, events in kinds.items() if events and kind != "phase"}

    @property
    def across(self) -> dict[str, list[float]]:
        """Kinds that are drawn through every chart, with the positions of their newest marks."""
        return {
            kind: sorted({self.at(event.epoch) for event in self.kinds[kind][-self.NEWEST :]})
            for kind in _ACROSS
            if kind in self.kinds
        }

    def names(self, kind: str) -> tuple[str, str, str]:
        """Return a kind's style, its name beside the chart, and in words."""
        other = ("other", kind[:7], kind.replace("_", " "))
        return (kind, *_KINDS[kind]) if kind in _KINDS else other

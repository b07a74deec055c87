"""The epoch axis of all charts, with the phases and events of a run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from vesuv.config.loss import Phase
from vesuv.report.axis import Axis, Tick
from vesuv.runs.history import RunHistory
from vesuv.runs.records import RunEvent

_EVENT_NAMES = {
    "noise": ("noise", "weight noise"),
    "escape": ("escape", "plateau escape"),
    "learning_rate": ("lr", "learning rate changed"),
    "non_finite": ("NaN", "non-finite loss or gradient"),
    "rollback": ("back", "rolled back"),
    "resume": ("resume", "resumed"),
    "stop": ("stop", "run ended"),
}
"""Kind of event -> short name beside the chart, and name in words."""
_KINDS_IN_CHARTS = ("escape", "learning_rate", "non_finite", "rollback", "resume")
"""Kinds of events marked in every chart; weight noise is too frequent."""


@dataclass(frozen=True)
class PhaseSpan:
    """A phase of the loss, and its start and end in per cent of the axis."""

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
    """Phases and events from the first to the last epoch of a run."""

    MAX_MARKS: ClassVar[int] = 200
    """Maximum number of marked events of a kind: more marks would overlap."""

    last_epoch: int
    phases: tuple[Phase, ...]
    events: tuple[RunEvent, ...]

    @classmethod
    def of(cls, history: RunHistory) -> Timeline:
        epochs = [observation.epoch for observation in history.observations]
        last_epoch = max(history.metrics.last_epoch or 0, *epochs, 0)
        return cls(last_epoch, history.config.phases if history.config else (), history.events)

    @property
    def axis(self) -> Axis:
        return Axis(-0.5, self.last_epoch + 0.5)

    @property
    def ticks(self) -> list[Tick]:
        return self.axis.ticks(6, integers_only=True)

    @property
    def phase_starts(self) -> list[int]:
        """First epochs of all phases but the first."""
        return [phase.epochs[0] for phase in self.phases[1:]]

    def at(self, epoch: float) -> float:
        """Return the position of an epoch in per cent, clipped to the axis."""
        return self.axis.at(min(max(epoch, self.axis.low), self.axis.high))

    @cached_property
    def spans(self) -> list[PhaseSpan]:
        """All phases; a future phase has length 0 at the right end of the axis."""
        spans = []
        for phase in self.phases:
            first, last = phase.epochs
            end = self.last_epoch if last is None else min(last, self.last_epoch)
            start = min(first, self.last_epoch + 1)
            spans.append(PhaseSpan(phase, self.at(start - 0.5), self.at(end + 0.5)))
        return spans

    @cached_property
    def events_by_kind(self) -> dict[str, list[RunEvent]]:
        """Events by kind, standard kinds first, without changes of phase, which are shaded."""
        kinds: dict[str, list[RunEvent]] = {kind: [] for kind in _EVENT_NAMES}
        for event in self.events:
            kinds.setdefault(event.kind, []).append(event)
        return {kind: events for kind, events in kinds.items() if events and kind != "phase"}

    @property
    def marks_in_charts(self) -> dict[str, list[float]]:
        """Positions of the newest events of each kind that is marked in every chart."""
        return {
            kind: sorted(
                {self.at(event.epoch) for event in self.events_by_kind[kind][-self.MAX_MARKS :]}
            )
            for kind in _KINDS_IN_CHARTS
            if kind in self.events_by_kind
        }

    def kind_names(self, kind: str) -> tuple[str, str, str]:
        """Return a kind's CSS class, short name, and name in words."""
        if kind in _EVENT_NAMES:
            return (kind, *_EVENT_NAMES[kind])
        return "other", kind[:7], kind.replace("_", " ")

"""The epochs that all charts share: phases behind the lines, events as marks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from vesuv.report.page_files import Facts, RunFiles
from vesuv.report.page_scale import Scale
from vesuv.report.page_text import table, text

_KINDS = {
    "noise": ("noise", "weight noise"),
    "escape": ("escape", "plateau escape"),
    "learning_rate": ("rate", "learning rate changed"),
    "non_finite": ("NaN", "non-finite loss or gradient"),
    "rollback": ("back", "rolled back"),
    "resume": ("resume", "resumed"),
    "stop": ("stop", "run ended"),
}
"""Kind of event -> its name beside the chart, and in words."""
_ACROSS = ("escape", "learning_rate", "non_finite", "rollback", "resume")
"""Kinds that are drawn through every chart; noise comes too often."""
_MARKS = 200
"""Marks of a kind that are drawn; more would be one bar."""

_NARROW = 0.03
"""Share of the axis that a phase needs for its number."""


@dataclass(frozen=True)
class PhaseSpan:
    """A phase as far as the run has come."""

    index: int
    first: int
    last: int | None
    weights: str

    @property
    def epochs(self) -> str:
        """Its epochs in words."""
        return f"{self.first}–{self.last}" if self.last is not None else f"from {self.first}"


@dataclass(frozen=True)
class Timeline:
    """Phases and events from the first epoch to the last one that ran."""

    last: int
    phases: tuple[PhaseSpan, ...]
    events: tuple[Facts, ...]

    @property
    def low(self) -> float:
        """Left end of the axis: half an epoch of room."""
        return -0.5

    @property
    def high(self) -> float:
        """Right end of the axis."""
        return self.last + 0.5

    @property
    def changes(self) -> list[float]:
        """First epochs of all phases but the first."""
        return [float(phase.first) for phase in self.phases if phase.first > 0]

    def at(self, epoch: float) -> float:
        """Return the position of an epoch, from 0 to 1."""
        return min(1.0, max(0.0, (epoch - self.low) / (self.high - self.low)))

    def ticks(self) -> list[tuple[float, str]]:
        """Return positions and labels of the epoch axis."""
        return Scale(self.low, self.high).ticks(6, whole=True)

    @cached_property
    def kinds(self) -> dict[str, list[Facts]]:
        """Events by kind, known kinds first; changes of phase are left to the shading."""
        found: dict[str, list[Facts]] = {kind: [] for kind in _KINDS}
        for event in self.events:
            found.setdefault(str(event.get("kind", "other")), []).append(event)
        return {kind: of for kind, of in found.items() if of and kind != "phase"}

    def spans(self) -> list[tuple[PhaseSpan, float, float]]:
        """Return the phases that have begun with their ends on the axis."""
        begun = [phase for phase in self.phases if phase.first <= self.last]
        return [
            (phase, self.at(phase.first - 0.5), self.at(min(self.last, _end(phase)) + 0.5))
            for phase in begun
        ]

    @property
    def lines(self) -> list[str]:
        """Kinds that happened and are drawn through every chart."""
        return [kind for kind in _ACROSS if kind in self.kinds]

    def backdrop(self) -> str:
        """Return what lies behind a chart's lines, as SVG for a box of 1000 by 1000."""
        shades = "".join(
            f'<rect class="shade{phase.index % 2}" x="{1000 * start:.1f}" y="0" '
            f'width="{1000 * (end - start):.1f}" height="1000"/>'
            for phase, start, end in self.spans()
        )
        marks = ""
        for kind in self.lines:
            at = sorted({f"{1000 * self._at(e):.1f}" for e in self.kinds[kind][-_MARKS:]})
            marks += f'<path class="event {kind}" d="{"".join(f"M{x} 0V1000" for x in at)}"/>'
        return shades + marks

    def labels(self) -> str:
        """Return the numbers of the phases that are wide enough for one, for a chart's top."""
        return "".join(
            f'<small class="label" style="left:{100 * start:.2f}%">{phase.index + 1}</small>'
            for phase, start, end in self.spans()
            if end - start > _NARROW and len(self.phases) > 1
        )

    def lanes(self) -> str:
        """Return the strip above the first chart: a row of phases, and one for each kind."""
        if not self.phases and not self.kinds:
            return ""
        bars = "".join(
            f'<span class="phase shade{phase.index % 2}" style="left:{100 * start:.2f}%;'
            f'width:{100 * (end - start):.2f}%" title="{_phase_title(phase)}">'
            f"{phase.index + 1}: {text(phase.weights)}</span>"
            for phase, start, end in self.spans()
        )
        rows = [_lane("phase", "phases of the loss", bars, "")] if bars else []
        for kind, events in self.kinds.items():
            short, words = _KINDS.get(kind, (kind[:7], kind))
            marks = "".join(self._mark(event, kind) for event in events[-_MARKS:])
            known = kind if kind in _KINDS else "other"
            rows.append(_lane(short, words, marks, known))
        return f'<div class="lanes">{"".join(rows)}</div>'

    def counted(self) -> str:
        """Return how often each kind of event happened, in words."""
        counts = Counter({kind: len(of) for kind, of in self.kinds.items()})
        return ", ".join(
            f"{text(_KINDS.get(kind, (kind, kind))[1])}&nbsp;({count})"
            for kind, count in counts.items()
        )

    def listed(self) -> str:
        """Return the newest events as a table that unfolds, changes of phase among them."""
        newest = self.events[-_MARKS:]
        rows = [
            (f"{e['epoch']:g}", text(_name(str(e.get("kind", "other")))), text(e.get("line", "")))
            for e in newest
        ]
        of = (
            f"the last {len(newest)} of {len(self.events)}"
            if self.events[_MARKS:]
            else f"all {len(newest)}"
        )
        listed = table(("Epoch", "Kind", "What happened"), rows, numeric=(0,))
        return f"<details><summary>Events, {of}</summary>{listed}</details>"

    def _at(self, event: Facts) -> float:
        return self.at(float(event["epoch"]))

    def _mark(self, event: Facts, kind: str) -> str:
        known = kind if kind in _KINDS else "other"
        title = text(f"Epoch {event['epoch']:g}: {event.get('line', '')}")
        return f'<i class="{known}" style="left:{100 * self._at(event):.2f}%" title="{title}"></i>'


def timeline_of(files: RunFiles) -> Timeline:
    """Return the run's epochs with its phases and events."""
    last = max(
        files.metrics.last_epoch or 0,
        *(int(line["epoch"]) for line in files.evidence[-1:]),
        0,
    )
    phases = files.config.phases if files.config else ()
    spans = tuple(
        PhaseSpan(
            index,
            phase.epochs[0],
            phase.epochs[1],
            ", ".join(f"{name} {weight:g}" for name, weight in phase.weights.items() if weight)
            + (f" (over {phase.ramp} epochs)" if phase.ramp else ""),
        )
        for index, phase in enumerate(phases)
    )
    return Timeline(last, spans, tuple(files.events))


def _name(kind: str) -> str:
    return _KINDS[kind][1] if kind in _KINDS else kind.replace("_", " ")


def _end(phase: PhaseSpan) -> float:
    return float("inf") if phase.last is None else phase.last


def _phase_title(phase: PhaseSpan) -> str:
    return text(f"Phase {phase.index + 1}, epochs {phase.epochs}: {phase.weights}")


def _lane(short: str, words: str, marks: str, kind: str) -> str:
    return (
        f'<div class="lane"><span class="tag {kind}" title="{text(words)}">{text(short)}</span>'
        f'<div class="track">{marks}</div></div>'
    )

"""Axes: where a value lies between two ends, and which values get a tick."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import Locator, LogLocator, MaxNLocator

Tick = tuple[float, str]
"""Position in per cent of the axis, and label."""

_LEAST_POSITIVE = 1e-30
"""No logarithmic axis goes lower."""


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`."""

    low: float
    high: float
    log: bool = False
    share: bool = False
    """Values are shares, labelled in per cent."""

    def at(self, value: float) -> float:
        """Return the position of a value in per cent of the axis, to a hundredth."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = (math.log10(max(v, self.low)) for v in (low, high, value))
        return round(100 * (value - low) / (high - low), 2)

    def ticks(self, most: int = 5, *, whole: bool = False) -> list[Tick]:
        """Return about `most` round values, low to high."""
        locator: Locator = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10], integer=whole)
        if self.log:
            few = math.log10(self.high / self.low) < 2.2
            locator = LogLocator(subs=(1, 2, 5) if few else (1,), numticks=most + 1)
        room = 1e-6 * (self.low if self.log else self.high - self.low)
        values = [
            float(value)
            for value in locator.tick_values(self.low, self.high)
            if self.low - room <= value <= self.high + room
        ]
        return list(zip(map(self.at, values), self._labels(values), strict=True))

    def _labels(self, values: Sequence[float]) -> list[str]:
        if self.log:
            return [_power(v) if v < 0.0099 or v > 9999 else f"{v:g}" for v in values]
        factor, unit = (100, "%") if self.share else (1, "")
        labels = [f"{factor * value:.10g}" for value in values]
        places = max((len(label.partition(".")[2]) for label in labels), default=0)
        if places > 6 or any("e" in label or len(label) - places > 6 for label in labels):
            return [_power(factor * value) + unit for value in values]
        return [f"{factor * value:.{places}f}{unit}" for value in values]


def linear(
    values: Sequence[float], *, zero: bool = False, least: float = 0.0, share: bool = False
) -> Axis:
    """Return an axis that holds all values, with some room that never reaches past 0 or 1.

    Args:
        values: What the axis holds.
        zero: Begin at 0 where no value is negative.
        least: Least length of the axis, so that a small change looks small.
        share: Label in per cent.
    """
    low, high = min(values), max(values)
    bottom, top = (0.0 if low >= 0 else -math.inf), (1.0 if high <= 1 else math.inf)
    low = min(low, 0.0) if zero else low
    largest = max(abs(low), abs(high))
    flat = high - low < max(1e-6 * largest, 1e-12)
    room = max(0.1 * largest, 1e-3) if flat else 0.06 * (high - low)
    low, high = max(bottom, low - room), min(top, high + room)
    if high - low < least:
        low = max(bottom, (low + high - least) / 2)
        high = min(top, low + least)
        low = max(bottom, high - least)
    return Axis(low, high, share=share)


def logarithmic(values: Sequence[float]) -> Axis:
    """Return a logarithmic axis that holds all positive values, at least a factor 4 long."""
    positive = [max(value, _LEAST_POSITIVE) for value in values if value > 0]
    low, high = min(positive), max(positive)
    room = max((high / low) ** 0.06, 2 / math.sqrt(high / low))
    return Axis(low / room, high * room, log=True)


def _power(value: float) -> str:
    """Write to three digits with an exponent: 4.4e-3, 1e5; 0 without."""
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}" if value else "0"

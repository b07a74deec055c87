"""Axes: where a value lies between two ends, and which values are worth a tick."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the position of a value: 0 at the low end, 1 at the high end."""
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            return (math.log10(max(value, self.low)) - low) / (high - low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 5, *, whole: bool = False) -> list[tuple[float, str]]:
        """Return (position, label) of at most `most` round values, low to high."""
        if self.log:
            return self._decades(most)
        step = _round_step((self.high - self.low) / most)
        step = max(1.0, math.ceil(step)) if whole else step
        places = max(0, -math.floor(math.log10(step) + 1e-9))
        places += 1 if not math.isclose(round(step, places), step, rel_tol=1e-6) else 0
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        values = [round(i * step, 12) for i in range(first, last + 1)]
        return [(self.at(value), _label(value, places)) for value in values]

    def _decades(self, most: int) -> list[tuple[float, str]]:
        low, high = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        few = math.log10(self.high / self.low) < 2.2
        factors = (1, 2, 5) if few else (1,)
        stride = 1 if few else max(1, math.ceil((high - low) / most))
        values = [f * 10.0**e for e in range(low, high + 1, stride) for f in factors]
        inside = [v for v in values if self.low * 0.999 <= v <= self.high * 1.001]
        return [(self.at(v), _power(v)) for v in inside]


def linear(values: Iterable[float], *, zero: bool = False, margin: float = 0.06) -> Scale:
    """Return an axis that holds all values with some room, from 0 where `zero` asks for it.

    The room never reaches past 0 or, for shares, past 1.
    """
    known = list(values)
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    bottom, top = (0.0 if low >= 0 else -math.inf), (1.0 if high <= 1 else math.inf)
    if zero and low >= 0:
        low = 0.0
    largest = max(abs(low), abs(high))
    if high - low < max(1e-6 * largest, 1e-12):
        room = max(0.1 * largest, 1e-3)
        return Scale(low - room, high + room)
    room = margin * (high - low)
    return Scale(max(bottom, low - room), min(top, high + room))


def logarithmic(values: Iterable[float]) -> Scale:
    """Return an axis of decades that holds all positive values."""
    positive = [value for value in values if value > 0]
    low, high = (min(positive), max(positive)) if positive else (0.1, 1.0)
    room = max((high / low) ** 0.06, 1.15)
    return Scale(max(low / room, 1e-300), min(high * room, 1e300), log=True)


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(s * power for s in _STEPS if s * power >= least * (1 - 1e-9))


def _label(value: float, places: int) -> str:
    if abs(value) >= 1e5 or places > 6:
        return f"{value:.3g}".replace("e+0", "e").replace("e+", "e")
    return f"{value:.{places}f}"


def _power(value: float) -> str:
    exponent = math.floor(math.log10(value) + 1e-9)
    if -2 <= exponent <= 3:
        return f"{value:g}"
    return f"{value / 10.0**exponent:.0f}e{exponent}"

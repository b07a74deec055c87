"""Axes: positions of values and ticks between two ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import Locator, LogLocator, MaxNLocator

Tick = tuple[float, str]
"""Position in per cent of the axis, and label."""

_MIN_POSITIVE = 1e-30
"""Lower limit of logarithmic axes."""
_MIN_SHARE = 0.1
"""Shortest linear axis, as a share of its largest value."""


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`."""

    low: float
    high: float
    log: bool = False
    in_percent: bool = False
    """Values are shares; labels are in per cent."""

    def at(self, value: float) -> float:
        """Return the position of a value in per cent of the axis, to a hundredth."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = (math.log10(max(v, self.low)) for v in (low, high, value))
        return round(100 * (value - low) / (high - low), 2)

    def ticks(self, num_ticks: int = 5, *, integers_only: bool = False) -> list[Tick]:
        """Return about `num_ticks` round values, low to high."""
        least = 1 if integers_only else 2  # for fewer whole numbers the locator gives fractions
        steps = [1, 2, 2.5, 5, 10]
        locator: Locator = MaxNLocator(
            num_ticks, steps=steps, integer=integers_only, min_n_ticks=least
        )
        if self.log:
            is_short = math.log10(self.high / self.low) < 2.2
            locator = LogLocator(subs=(1, 2, 5) if is_short else (1,), numticks=num_ticks + 1)
        tolerance = 1e-6 * (self.low if self.log else self.high - self.low)
        values = [
            float(value)
            for value in locator.tick_values(self.low, self.high)
            if self.low - tolerance <= value <= self.high + tolerance
        ]
        return list(zip(map(self.at, values), self._labels(values), strict=True))

    def _labels(self, values: Sequence[float]) -> list[str]:
        if self.log:
            return [_exponent_text(v) if v < 0.0099 or v > 9999 else f"{v:g}" for v in values]
        factor, unit = (100, "%") if self.in_percent else (1, "")
        labels = [f"{factor * value:.10g}" for value in values]
        places = max((len(label.partition(".")[2]) for label in labels), default=0)
        if places > 6 or any("e" in label or len(label) - places > 6 for label in labels):
            return [_exponent_text(factor * value) + unit for value in values]
        return [f"{factor * value:.{places}f}{unit}" for value in values]


def linear(
    values: Sequence[float],
    *,
    include_zero: bool = False,
    min_length: float = 0.0,
    in_percent: bool = False,
) -> Axis:
    """Return an axis with all values and a margin that does not cross 0 or 1.

    It is at least a tenth as long as the largest value, so that a small change looks small.

    Args:
        values: Values on the axis.
        include_zero: Begin at 0 if no value is negative.
        min_length: Minimum length of the axis, where that is longer.
        in_percent: Values are shares; labels are in per cent.
    """
    low, high = min(values), max(values)
    bottom, top = (0.0 if low >= 0 else -math.inf), (1.0 if high <= 1 else math.inf)
    low = min(low, 0.0) if include_zero else low
    largest = max(abs(low), abs(high))
    is_constant = high - low < max(1e-6 * largest, 1e-12)
    margin = max(0.1 * largest, 1e-3) if is_constant else 0.06 * (high - low)
    low, high = max(bottom, low - margin), min(top, high + margin)
    min_length = max(min_length, _MIN_SHARE * largest)
    if high - low < min_length:
        low = max(bottom, (low + high - min_length) / 2)
        high = min(top, low + min_length)
        low = max(bottom, high - min_length)
    return Axis(low, high, in_percent=in_percent)


def logarithmic(values: Sequence[float]) -> Axis:
    """Return a logarithmic axis with all positive values; its ends differ by a factor 4 or more."""
    positive_values = [max(value, _MIN_POSITIVE) for value in values if value > 0]
    low, high = min(positive_values), max(positive_values)
    margin = max((high / low) ** 0.06, 2 / math.sqrt(high / low))
    return Axis(low / margin, high * margin, log=True)


def _exponent_text(value: float) -> str:
    """Write a number to three digits with an exponent: 4.4e-3, 1e5; 0 without."""
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}" if value else "0"

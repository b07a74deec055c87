"""Text of numbers and configuration values in the report."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

import yaml

from vesuv.config.postprocess import read_chain
from vesuv.errors import InputError

MAX_NUMBER = 1e30
"""Larger numbers are not drawn: the arithmetic of axes would overflow."""
_DASH = "–"


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether `value` is a number below `MAX_NUMBER`, not nan, so that it can be drawn."""
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER
    )


def number_text(value: Any, digits: int = 4) -> str:
    """Write a number with `digits` significant digits; a dash for other values."""
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if not is_number(value):
        return _DASH
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{digits - 2}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if isinstance(value, int) or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    places = digits - 1 - math.floor(math.log10(abs(value))) if abs(value) >= 1 else digits
    return f"{value:.{places}f}"


def percent(value: Any) -> str:
    """Write a share in per cent; a dash for other values."""
    return f"{100 * value:.{1 if abs(value) >= 0.1 else 2}f} %" if is_number(value) else _DASH


def duration(seconds: float) -> str:
    """Write a duration: 45 s, 3.5 min, 12 min, 3 h 20 min, 2 d 4 h."""
    if seconds < 90:
        return f"{seconds:.{0 if seconds >= 10 else 1}f} s"
    if seconds < 570:
        return f"{seconds / 60:.1f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def yaml_text(value: Any) -> str:
    """Write a configuration value as YAML on one line."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return value
    try:
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**9)
    except RecursionError:
        return "…"
    return text.removesuffix("\n").removesuffix("\n...")


def steps_text(steps: list[dict[str, Any]]) -> str:
    """Write post-processing steps in words; as YAML where a step is not known here."""
    try:
        return ", ".join(map(str, read_chain(steps, "selection")))
    except InputError:
        return yaml_text(steps)

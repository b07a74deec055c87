"""Units of length in file formats, each with its spellings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable
from fractions import Fraction

_METRES = {
    "pm": Fraction(1, 10**12),
    "Å": Fraction(1, 10**10),
    "nm": Fraction(1, 10**9),
    "µm": Fraction(1, 10**6),
    "mm": Fraction(1, 10**3),
    "cm": Fraction(1, 10**2),
    "m": Fraction(1),
    "in": Fraction(254, 10**4),
}
"""Metres in one unit; the keys are the spellings that `Volume.unit` uses."""
_NAMES = {
    "pm": "picometer",
    "Å": "angstrom",
    "nm": "nanometer",
    "µm": "micrometer",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
    "in": "inch",
}
"""Names of UDUNITS-2, which OME-Zarr uses."""
_SYMBOLS = {
    **{symbol: symbol for symbol in _METRES},
    "μm": "µm",
    "\\u00B5m": "µm",  # as ImageJ escapes it
    "um": "µm",
    "\u212b": "Å",  # the angstrom sign in place of the letter
    '"': "in",
}
_WORDS = {
    **{name: symbol for symbol, name in _NAMES.items()},
    **{name.replace("meter", "metre"): symbol for symbol, name in _NAMES.items()},
    "micron": "µm",
    "inches": "in",
}


def parse_unit(text: object) -> str | None:
    """Return the unit in the spelling of `Volume.unit`; None for an unknown unit."""
    symbol = text.strip() if isinstance(text, str) else ""
    word = symbol.lower()
    return _SYMBOLS.get(symbol) or _WORDS.get(word) or _WORDS.get(word.removesuffix("s"))


def unit_name(unit: str) -> str:
    """Return the unit's name in UDUNITS-2: "micrometer" for µm."""
    return _NAMES[unit]


def convert(value: float, unit: str | None, target: str | None) -> float:
    """Convert a length to another unit; unchanged where either unit is unknown."""
    if unit is None or target is None or unit == target or not math.isfinite(value):
        return value
    return float(Fraction(value) * _METRES[unit] / _METRES[target])


def are_comparable(units: Collection[str | None]) -> bool:
    """Return whether lengths in these units compare: all units are known, or none is."""
    return all(units) or not any(units)


def common_unit(units: Iterable[str | None]) -> str | None:
    """Return the most frequent unit; of equally frequent ones the first."""
    counts = Counter(unit for unit in units if unit is not None)
    return counts.most_common(1)[0][0] if counts else None

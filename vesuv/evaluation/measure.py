"""A measure: its name, its columns, and a function of a prediction and its label.

A column is named as in "hd95"; the unit of its lengths follows in brackets where files state it,
"hd95[mm]", and one class of several after that, "hd95[mm][bone]".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

from vesuv.evaluation.overlap import Overlap
from vesuv.types import Mask, Spacing

Shared = TypeVar("Shared")

Direction = Literal["higher", "lower"]
IgnoredVoxels = Literal["background", "excluded"]
"""What ignored voxels are to leaderboard score, surface Dice and VOI. "background": background on
both sides, so that the cut through a predicted sheet is surface, and breaks it. "excluded": surface
elements beside them do not count, and predicted components are those of the whole prediction."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A prediction and its label as masks of one foreground class."""

    prediction: Mask
    """Foreground (z, y, x), also where the label is ignored."""
    label: Mask
    valid: Mask
    """False where the voxel is not judged."""
    spacing: Spacing
    """In the unit that lengths are measured in."""
    overlap: Overlap
    """Of this class against all others."""
    ignored_voxels: IgnoredVoxels = "background"
    _shared: dict[Any, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def judged_prediction(self) -> Mask:
        """The predicted foreground among the judged voxels."""
        return self.prediction & self.valid

    def shared(self, compute: Callable[[Pair], Shared]) -> Shared:
        """Return what several measures need of this pair, computed once."""
        if compute not in self._shared:
            self._shared[compute] = compute(self)
        result: Shared = self._shared[compute]
        return result


@dataclass(frozen=True)
class Column:
    """One number of a measure, and how tables show it."""

    name: str
    better: Direction | None = None
    """Which values are better; None for a number that is no score."""
    headline: bool = False
    """Whether short tables show it; scores.csv and summary.json hold every column."""
    style: Literal["score", "share", "count"] = "score"
    """Written with four digits, in percent, or as a whole number."""
    short_name: str = ""
    """Heading where a terminal has little room; the name where left out."""
    has_unit: bool = False
    """Whether it is a length, or has a tolerance that is one."""


@dataclass(frozen=True)
class Measure:
    """A measure that can be asked for by name."""

    name: str
    columns: tuple[Column, ...]
    values: Callable[[Pair], Sequence[float]]
    """The columns' values of a pair, in their order."""
    scores_unjudged: bool = False
    """Whether it has a value where no voxel is judged; NaN otherwise."""

    @property
    def has_unit(self) -> bool:
        """Whether a column of it is a length, or has a tolerance that is one."""
        return any(column.has_unit for column in self.columns)

    def row(self, pair: Pair, unit: str | None = None) -> dict[str, float]:
        """Return column name -> value; `unit` is that of the pair's spacing, where it is known."""
        names = [
            f"{column.name}[{unit}]" if unit and column.has_unit else column.name
            for column in self.columns
        ]
        if not self.scores_unjudged and not pair.valid.any():
            return dict.fromkeys(names, math.nan)
        return dict(zip(names, map(float, self.values(pair)), strict=True))


def class_column(column: str, class_name: str) -> str:
    """Name the column of one class of several."""
    return f"{column}[{class_name}]"


def split_column(name: str) -> tuple[str, str]:
    """Split a column's name into that of `Column` and what is in brackets after it."""
    base, bracket, rest = name.partition("[")
    return base, bracket + rest

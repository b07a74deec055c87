"""Statistics of a study: mean and spread of each arm, and paired differences to the first arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.stats import t as student_t

from vesuv.evaluation.bootstrap import LEVEL, Interval
from vesuv.evaluation.measure import Column, Direction
from vesuv.evaluation.measures import OVERLAP, find_column
from vesuv.studies.detectors import COLUMNS as DETECTOR_COLUMNS
from vesuv.studies.records import Record, finished
from vesuv.studies.scores import HELD_OUT, SELECTED

NO_INTERVAL = Interval(math.nan, math.nan)


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviations of a column over the runs of an arm; NaN where undefined."""

    mean: float
    runs: float
    """Over all runs."""
    folds: float
    """Of the means over the seeds of each fold."""
    seeds: float
    """Between the seeds of one fold, pooled over the folds."""


@dataclass(frozen=True)
class PairedDifference:
    """An arm minus the first arm, on the same folds and seeds."""

    num_pairs: int
    mean: float
    interval: Interval
    """95 % interval of the mean by Student's t; NaN below two pairs."""


def columns(records: Sequence[Record]) -> list[str]:
    """Return all columns, in the order of their first appearance."""
    return list(dict.fromkeys(name for record in records for name in record.scores))


def headline_columns(records: Sequence[Record]) -> list[str]:
    """Return the columns of short tables: no parts of a measure, no single classes."""
    return [
        name
        for name in columns(records)
        if "[" not in _base(name) and (_base(name) in OVERLAP or _column(name).headline)
    ]


def better(column: str) -> Direction | None:
    """Return which values of a column are better."""
    return _column(column).better


def of_arm(records: Sequence[Record], arm: str) -> list[Record]:
    """Return the finished runs of an arm."""
    return [record for record in finished(records) if record.arm == arm]


def spread(records: Sequence[Record], column: str) -> Spread:
    """Return mean and spread of a column over the runs of one arm."""
    by_fold: dict[int, list[float]] = {}
    for record in records:
        value = record.scores.get(column, math.nan)
        if not math.isnan(value):
            by_fold.setdefault(record.fold, []).append(value)
    values = [value for fold in by_fold.values() for value in fold]
    freedom = sum(len(fold) - 1 for fold in by_fold.values())
    squares = sum((value - fmean(fold)) ** 2 for fold in by_fold.values() for value in fold)
    return Spread(
        mean=fmean(values) if values else math.nan,
        runs=_deviation(values),
        folds=_deviation([fmean(fold) for fold in by_fold.values()]),
        seeds=math.sqrt(squares / freedom) if freedom else math.nan,
    )


def paired_difference(
    records: Sequence[Record], first: str, arm: str, column: str
) -> PairedDifference:
    """Compare an arm with the first one on the folds and seeds that both finished."""
    values = [_by_place(of_arm(records, name), column) for name in (first, arm)]
    places = [place for place in values[0] if place in values[1]]
    differences = [values[1][place] - values[0][place] for place in places]
    mean = fmean(differences) if differences else math.nan
    return PairedDifference(len(differences), mean, t_interval(differences))


def t_interval(values: Sequence[float]) -> Interval:
    """Return the 95 % interval of the mean by Student's t; NaN below two values.

    Runs of different folds share training cases, so that it is somewhat too narrow.

    Source:
        Student, The probable error of a mean, Biometrika 1908.
    """
    number = len(values)
    if number < 2:
        return NO_INTERVAL
    half = float(student_t.ppf((1 + LEVEL) / 2, number - 1)) * stdev(values) / math.sqrt(number)
    return Interval(fmean(values) - half, fmean(values) + half)


def _by_place(records: Sequence[Record], column: str) -> dict[tuple[int, int], float]:
    """Return (fold, seed) -> value, where there is one."""
    values = {(one.fold, one.seed): one.scores.get(column, math.nan) for one in records}
    return {place: value for place, value in values.items() if not math.isnan(value)}


def _column(name: str) -> Column:
    return DETECTOR_COLUMNS.get(name) or find_column(_base(name))


def _base(column: str) -> str:
    return column.removeprefix(HELD_OUT).removeprefix(SELECTED)


def _deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else math.nan

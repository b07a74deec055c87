"""Curves of digitised logs: from a mask's centreline to calibrated values, samples and errors.

The mask is an image, a volume of one slice. Depth runs down its rows, a curve's value along its
columns; both are linear between two marks that the user reads off the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vesuv.errors import InputError
from vesuv.evaluation.measure import Column, Measure, Pair
from vesuv.types import Mask

NUM_SAMPLES = 300
"""Samples of a digitised curve."""

Values = NDArray[np.float64]


class CurveErrors(NamedTuple):
    """Errors of a curve against the true one, where both have a value; NaN where none has."""

    mae: float
    """Mean absolute error."""
    mse: float
    """Mean squared error."""
    r2: float
    """1 - squared error / squared deviation of the true values from their mean; NaN for a true
    curve without deviation."""


@dataclass(frozen=True)
class Scale:
    """What a log's header says: the values at two columns, and the depths at two rows."""

    left: float
    right: float
    left_value: float
    right_value: float
    top: float
    bottom: float
    top_depth: float
    bottom_depth: float

    @property
    def full_value(self) -> float:
        """Difference of the two values."""
        return abs(self.right_value - self.left_value)

    def values(self, columns: Values) -> Values:
        """Return the values at columns."""
        share = (columns - self.left) / (self.right - self.left)
        return np.asarray(self.left_value + share * (self.right_value - self.left_value))

    def depths(self, rows: Values) -> Values:
        """Return the depths of rows."""
        share = (rows - self.top) / (self.bottom - self.top)
        return np.asarray(self.top_depth + share * (self.bottom_depth - self.top_depth))


class SampledCurve(NamedTuple):
    """A curve at evenly spaced depths."""

    depths: Values
    values: Values
    """NaN above the first and below the last row that holds the curve."""
    coverage: float
    """Share of the rows between the two marks of depth that hold the curve."""


def centerline(mask: Mask) -> Values:
    """Return the column of a curve in each row, NaN where a row has none.

    It is the middle of the longest run of the row's pixels, of equally long ones the first. Small
    wrong components are for post-processing to remove.

    Args:
        mask: Pixels of the curve, (1, y, x).

    Raises:
        InputError: The mask has several slices.
    """
    if mask.shape[0] != 1:
        raise InputError(f"a curve is measured on images of one slice, found {mask.shape[0]}")
    edges = np.diff(np.pad(mask[0], ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, start = np.nonzero(edges == 1)
    stop = np.nonzero(edges == -1)[1]
    columns = np.full(mask.shape[1], np.nan)
    shortest_first = np.lexsort((-start, stop - start))  # the last one written to a row stays
    row, start, stop = row[shortest_first], start[shortest_first], stop[shortest_first]
    columns[row] = (start + stop - 1) / 2
    return columns


def sample_curve(mask: Mask, scale: Scale, num_samples: int = NUM_SAMPLES) -> SampledCurve:
    """Return the calibrated values of a curve at evenly spaced depths.

    Rows without the curve are filled between their neighbours, linearly in depth.

    Args:
        mask: Pixels of the curve, (1, y, x).
        scale: Marks of value and depth.
        num_samples: Samples from the upper to the lower mark of depth, both included.

    Raises:
        InputError: The mask has several slices.
    """
    columns, rows = centerline(mask), np.arange(mask.shape[1], dtype=np.float64)
    is_there = np.isfinite(columns)
    is_between = (rows >= scale.top) & (rows <= scale.bottom)
    depths = np.linspace(scale.top_depth, scale.bottom_depth, num_samples)
    values = np.full(num_samples, np.nan)
    if is_there.any():
        known = scale.depths(rows[is_there]), scale.values(columns[is_there])
        values = np.interp(depths, *known, left=np.nan, right=np.nan)
    coverage = float(is_there[is_between].mean()) if is_between.any() else 0.0
    return SampledCurve(depths, values, coverage)


def curve_errors(values: Values, truth: Values) -> CurveErrors:
    """Compare a curve with the true one at the same depths; NaN is no value."""
    both = np.isfinite(values) & np.isfinite(truth)
    if not both.any():
        return CurveErrors(np.nan, np.nan, np.nan)
    error, true_values = values[both] - truth[both], truth[both]
    squared = float((error**2).sum())
    deviation = float(((true_values - true_values.mean()) ** 2).sum())
    r2 = 1 - squared / deviation if deviation > 0 else np.nan
    return CurveErrors(float(np.abs(error).mean()), squared / int(both.sum()), r2)


def _values_of_pair(pair: Pair) -> tuple[float, ...]:
    """Errors of the centreline in widths of the image, and the share of its rows that are found."""
    width = pair.label.shape[2]
    true_columns, columns = centerline(pair.label), centerline(pair.judged_prediction)
    labelled, predicted = np.isfinite(true_columns), np.isfinite(columns)
    coverage = float(predicted[labelled].mean()) if labelled.any() else np.nan
    if predicted.any():
        rows = np.arange(len(columns))
        columns = np.interp(rows, rows[predicted], columns[predicted], left=np.nan, right=np.nan)
    return *curve_errors(columns / width, true_columns / width), coverage


CURVE = Measure(
    "curve",
    (
        Column("curve_mae", "lower", headline=True, short_name="curve MAE"),
        Column("curve_mse", "lower"),
        Column("curve_r2", "higher", short_name="curve R²"),
        Column("curve_coverage", "higher", short_name="curve found"),
    ),
    _values_of_pair,
)
"""Centreline of the prediction against the label's, without calibration: of images whose curves run
down, once in each row."""

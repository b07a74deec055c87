"""Error of the foreground's volume fraction."""

from __future__ import annotations

from dataclasses import dataclass

from vesuv.evaluation.measure import Column, Measure, Pair
from vesuv.evaluation.overlap import Overlap


@dataclass(frozen=True)
class FractionError:
    """How much more (positive) or less foreground is predicted than labelled."""

    absolute: float
    """Predicted - labelled share of the judged voxels; NaN when no voxel is judged."""
    relative: float
    """The same over the labelled share: 0 when both are empty, infinite when only the label is."""


def fraction_error(overlap: Overlap) -> FractionError:
    """Compare the predicted with the labelled foreground share."""
    difference = overlap.predicted_fraction - overlap.labelled_fraction
    if overlap.labelled_fraction == 0:
        return FractionError(difference, 0.0 if difference == 0 else float("inf"))
    return FractionError(difference, difference / overlap.labelled_fraction)


def _values(pair: Pair) -> tuple[float, float, float]:
    error = fraction_error(pair.overlap)
    return abs(error.absolute), error.absolute, error.relative


FRACTION = Measure(
    "fraction",
    (
        Column("fraction_error", "lower", headline=True, style="share", short_name="frac.err."),
        Column("fraction_bias", style="share"),
        Column("fraction_bias_relative", style="share"),
    ),
    _values,
)

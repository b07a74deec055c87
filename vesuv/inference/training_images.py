"""Record of the training cases that inputs of predictions are compared with."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from vesuv.data.case import PreparedCase
from vesuv.data.statistics import CaseStatistics, Floats
from vesuv.io.formats.units import common_unit
from vesuv.io.formats.volume import NO_SPACING
from vesuv.runs.records import IntensityRange, SpacingRange, TrainingImages
from vesuv.transforms.normalize import Normalizer
from vesuv.types import Spacing

_ENDS = ("SI", "PA", "LR")
"""Anatomical directions of the LPS coordinates z, y, x: positive, negative."""


def training_images(cases: Sequence[PreparedCase], normalizer: Normalizer) -> TrainingImages:
    """Return what inputs of a prediction are compared with.

    Args:
        cases: Training cases.
        normalizer: Their normalizer.
    """
    attributes = [case.attributes for case in cases]
    spacings = [one.native_spacing or one.spacing for one in attributes]
    unit = common_unit(one.unit for one in attributes)
    directions = {orientation(one.direction) for one in attributes if one.direction is not None}
    is_stated = unit is not None or any(spacing != NO_SPACING for spacing in spacings)
    has_grids = all(one.keeps_native_grid for one in attributes)
    return TrainingImages(
        spacing=_spacing_range(spacings) if is_stated and has_grids else None,
        unit=unit,
        orientations=tuple(sorted(directions)),
        channels=_intensity_ranges([case.statistics for case in cases], normalizer),
    )


def orientation(direction: Sequence[float]) -> str:
    """Return the anatomical direction that each axis z, y, x is closest to, such as SPL.

    Args:
        direction: Unit vectors of the axes as rows, in LPS coordinates (z, y, x).
    """
    rows = np.reshape(direction, (3, 3))
    places = np.abs(rows).argmax(axis=1)
    return "".join(
        _ENDS[place][int(row[place] < 0)] for row, place in zip(rows, places, strict=True)
    )


def _spacing_range(spacings: Sequence[Spacing]) -> SpacingRange:
    axes = list(zip(*spacings, strict=True))
    low, median, high = (tuple(map(measure, axes)) for measure in (min, statistics.median, max))
    return SpacingRange.model_validate({"low": low, "median": median, "high": high})


def _intensity_ranges(
    cases: Sequence[CaseStatistics], normalizer: Normalizer
) -> tuple[IntensityRange, ...]:
    """Return one range for each channel; none where a case lacks the percentiles."""
    lows = np.array([one.low for one in cases if one.low is not None])
    highs = np.array([one.high for one in cases if one.high is not None])
    if len(lows) != len(cases) or len(highs) != len(cases):
        return ()
    extents = np.array([normalised_extents(one, normalizer) for one in cases])
    minima, widths = np.array([one.min for one in cases]), highs - lows
    return tuple(
        IntensityRange(
            normalised=(float(extents[:, 0, c].min()), float(extents[:, 1, c].max())),
            width=(float(widths[:, c].min()), float(widths[:, c].max())),
            minimum=(float(minima[:, c].min()), float(minima[:, c].max())),
        )
        for c in range(lows.shape[1])
    )


def normalised_extents(image: CaseStatistics, normalizer: Normalizer) -> tuple[Floats, Floats]:
    """Return the 0.5th and the 99.5th percentiles after normalisation, without clipping."""
    assert image.low is not None and image.high is not None
    intensity = normalizer.for_case(image)
    low, high = (
        tuple(
            (value - shift) / scale
            for value, shift, scale in zip(values, intensity.shift, intensity.scale, strict=True)
        )
        for values in (image.low, image.high)
    )
    return low, high

"""Survey of raw volumes: what a configuration depends on, measured on some of the cases."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import prod
from statistics import median
from typing import Annotated

import numpy as np
from pydantic import Field

from vesuv.data.case_paths import CasePaths
from vesuv.data.labels import ValueCounts
from vesuv.data.records import LabelValue, PositiveCount, PositiveLength, Record
from vesuv.errors import InputError
from vesuv.planning.case_survey import CaseSurvey, spread, survey_case
from vesuv.types import Progress, no_progress

_MAX_SECONDS = 12.0
"""No further case is read after this time."""
_MIN_CASES = 3
"""Cases that are read whatever the time."""
_NUM_THICK_CASES = 2
"""Cases on which thickness is measured and pieces are counted."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Edges = tuple[PositiveCount, PositiveCount, PositiveCount]
Lengths = tuple[PositiveLength, PositiveLength, PositiveLength]


class ValueSurvey(Record):
    """One label value.

    Args:
        share: Share of all voxels.
        border_share: Share of the voxels on the faces of the volumes.
        case_share: Share of the cases that hold it.
        beside: Values of the cases that hold it; None where not measured.
        thickness: Voxels along the shortest axis, median; None where it was not measured.
        num_pieces: Connected pieces in the middle of a volume, median; None where not measured.
    """

    share: Share
    border_share: Share
    case_share: Share
    beside: tuple[LabelValue, ...] | None = None
    thickness: float | None = None
    num_pieces: float | None = None


class DatasetSurvey(Record):
    """What is proposed depends on this alone, besides the machine.

    Args:
        num_cases: Cases of the data set.
        num_read: Cases that were read.
        read_share: Share of their voxels that was read.
        num_groups: Groups (scroll_id in train.csv) if every case has one, otherwise 0.
        shape: Median number of voxels along z, y, x.
        spacing: Median voxel edges.
        spacing_low: Smallest voxel edges.
        spacing_high: Largest voxel edges.
        unit: Unit of the spacing; None where the files state none.
        without_spacing: First file that states no spacing, where others state one with its unit;
            the spacings are those of the others.
        num_channels: Channels of the images.
        dtype: Number type of the images.
        intensity_low: Smallest 0.5th percentile of a case.
        intensity_low_max: Largest 0.5th percentile of a case.
        intensity_high: Largest 99.5th percentile of a case.
        values: Label value -> what was counted of it.
    """

    num_cases: PositiveCount
    num_read: PositiveCount
    read_share: Share = 1.0
    num_groups: int = 0
    shape: Edges
    spacing: Lengths
    spacing_low: Lengths
    spacing_high: Lengths
    unit: str | None = None
    without_spacing: str | None = None
    num_channels: PositiveCount = 1
    dtype: str
    intensity_low: float
    intensity_low_max: float
    intensity_high: float
    values: dict[LabelValue, ValueSurvey]

    @property
    def itemsize(self) -> int:
        """Bytes of an intensity in the prepared data."""
        return min(4, np.dtype(self.dtype).itemsize)

    def in_parts(self, num_parts: int) -> DatasetSurvey:
        """Return the survey of the cases that `data.parts` cuts the volumes into."""
        edges = list(self.shape)
        axis = edges.index(max(edges))
        edges[axis] = max(1, edges[axis] // num_parts)
        changes = {"shape": tuple(edges), "num_cases": num_parts * self.num_cases}
        return self.model_copy(update=changes)


def survey_cases(files: Sequence[CasePaths], progress: Progress = no_progress) -> DatasetSurvey:
    """Read some of the cases, evenly spread, for a few seconds.

    Args:
        files: All cases.
        progress: Called with the number of cases that are read, and of those to read.

    Raises:
        InputError: A case cannot be read, has channels unlike the first, or its label holds more
            values than classes can be.
    """
    start = time.monotonic()
    cases: list[CaseSurvey] = []
    order = spread(len(files))
    for number, index in enumerate(order, start=1):
        cases.append(survey_case(files[index], measure_parts=number <= _NUM_THICK_CASES))
        _check_channels(cases, [files[i].id for i in order])
        progress(number, len(order))
        if number >= _MIN_CASES and time.monotonic() - start > _MAX_SECONDS:
            break
    groups = [case.group for case in files]
    num_groups = 0 if None in groups else len(set(groups))
    return _merge(cases, len(files), num_groups)


def _check_channels(cases: Sequence[CaseSurvey], ids: Sequence[str]) -> None:
    number, expected = cases[-1].num_channels, cases[0].num_channels
    if number != expected:
        raise InputError(
            f"case {ids[len(cases) - 1]}: cases have one number of channels, found {number} "
            f"against {expected} in case {ids[0]}; add or remove channels"
        )


def _merge(cases: Sequence[CaseSurvey], num_cases: int, num_groups: int) -> DatasetSurvey:
    values = sorted({value for case in cases for value in case.values})
    units = [case.unit for case in cases if case.unit is not None]
    unknown = sorted(case.image for case in cases if units and not case.states_grid)
    known = [case for case in cases if case.states_grid] if unknown else cases
    spacings = np.array([case.spacing for case in known])
    return DatasetSurvey(
        num_cases=num_cases,
        num_read=len(cases),
        read_share=sum(case.num_voxels for case in cases) / sum(prod(case.shape) for case in cases),
        num_groups=num_groups,
        shape=_axes(int(median(case.shape[axis] for case in cases)) for axis in range(3)),
        spacing=_axes(float(np.median(spacings[:, axis])) for axis in range(3)),
        spacing_low=_axes(spacings.min(axis=0).tolist()),
        spacing_high=_axes(spacings.max(axis=0).tolist()),
        unit=units[0] if units else None,
        without_spacing=unknown[0] if unknown else None,
        num_channels=cases[0].num_channels,
        dtype=cases[0].dtype,
        intensity_low=min(case.extent[0] for case in cases),
        intensity_low_max=max(case.extent[0] for case in cases),
        intensity_high=max(case.extent[1] for case in cases),
        values={value: _merge_value(value, cases) for value in values},
    )


def _axes(values: object) -> tuple:  # type: ignore[type-arg]
    return tuple(values)  # type: ignore[arg-type]


def _merge_value(value: int, cases: Sequence[CaseSurvey]) -> ValueSurvey:
    thicknesses = [case.thickness[value] for case in cases if value in case.thickness]
    nums_pieces = [case.num_pieces[value] for case in cases if value in case.num_pieces]
    holders = [case.values for case in cases if value in case.values]
    return ValueSurvey(
        share=_share(value, [case.values for case in cases]),
        border_share=_share(value, [case.border_values for case in cases]),
        case_share=len(holders) / len(cases),
        beside=tuple(sorted(set().union(*holders))),
        thickness=median(thicknesses) if thicknesses else None,
        num_pieces=median(nums_pieces) if nums_pieces else None,
    )


def _share(value: int, counts: Sequence[ValueCounts]) -> float:
    return sum(c.get(value, 0) for c in counts) / max(1, sum(sum(c.values()) for c in counts))

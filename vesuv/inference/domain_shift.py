"""Inputs that lie outside what networks were trained on: spacing, unit, axes, intensities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vesuv.data.statistics import FEWEST_NUMBERS, CaseStatistics, float32_numbers
from vesuv.inference.members import Member
from vesuv.inference.networks import TrainedNetwork
from vesuv.inference.training_images import normalised_extents, orientation
from vesuv.io.formats.units import convert
from vesuv.io.formats.volume import NO_SPACING
from vesuv.runs.records import IntensityRange, TrainingImages
from vesuv.transforms.normalize import Normalizer
from vesuv.types import Spacing

SPACING_FACTOR = 1.5
"""Spacings are unusual this factor coarser than the coarsest training case, or finer than the
finest. Augmentation usually scales by 0.7 to 1.4."""
INTENSITY_MARGIN = 0.5
"""Share of the training cases' range by which an input's extent may leave it. FIB-SEM cubes and
phantoms leave the range of one training case by 0.27 at most, that of four by 0.10."""
WIDTH_FACTOR = 4.0
"""Extents are unusual this factor wider than all training cases, or narrower. FIB-SEM cubes and
phantoms differ by 1.2 at most, number types (0 to 1, 8 bit, 12 bit, 16 bit) by 16 and more."""
Kind = Literal["spacing", "unit", "orientation", "intensity"]


@dataclass(frozen=True)
class InputGrid:
    """Grid of an image as its file states it.

    Args:
        spacing: Voxel edges along z, y, x in `unit`.
        unit: Unit of the spacing; None when not known.
        direction: Unit vectors of the axes, see `vesuv.io.formats.Volume`; None when not known.
    """

    spacing: Spacing
    unit: str | None = None
    direction: tuple[float, ...] | None = None


@dataclass(frozen=True)
class DomainShift:
    """One way in which an input differs from the training cases.

    Args:
        kind: What differs.
        message: Sentence with the input's numbers and those of training.
        size: Size of the difference, to compare inputs; 1 where it has no degree.
    """

    kind: Kind
    message: str
    size: float = 1.0


@dataclass(frozen=True)
class DomainCheck:
    """Comparison of inputs with the training cases of a network.

    Args:
        training: Training cases.
        normalizer: The network's.
        target: `data.spacing`; None: inputs are not resampled.
    """

    training: TrainingImages
    normalizer: Normalizer
    target: Spacing | None

    def spacing_of(self, grid: InputGrid) -> Spacing:
        """Return the spacing in the unit of training, where both units are known."""
        z, y, x = (convert(edge, grid.unit, self.training.unit) for edge in grid.spacing)
        return z, y, x

    def grid_in_training_unit(self, spacing: Spacing) -> InputGrid:
        """Return the grid of a spacing in the unit of training, as callers of the library give it.

        A spacing that is left out and has no effect counts as not stated.
        """
        is_stated = self.target is not None or spacing != NO_SPACING
        return InputGrid(spacing, self.training.unit if is_stated else None)

    def shifts(
        self, grid: InputGrid, image: CaseStatistics, dtype: np.dtype[np.generic]
    ) -> list[DomainShift]:
        """Compare an input with the training cases.

        Args:
            grid: Its grid.
            image: Its intensities, measured after resampling.
            dtype: Its number type.
        """
        return [*self._of_spacing(grid), *self._of_axes(grid), *self._of_intensity(image, dtype)]

    def _of_spacing(self, grid: InputGrid) -> Iterator[DomainShift]:
        training, unit = self.training.spacing, self.training.unit
        is_stated = grid.spacing != NO_SPACING or grid.unit is not None
        if training is None or not (is_stated or self.target):
            return
        spacing = self.spacing_of(grid)
        if grid.unit != unit:
            yield DomainShift("unit", self._unit_message(grid, spacing))
        factors = [
            max(edge / high, low / edge)
            for edge, low, high in zip(spacing, training.low, training.high, strict=True)
        ]
        if max(factors) > SPACING_FACTOR:
            ratios = [e / m for e, m in zip(spacing, training.median, strict=True)]
            use = "used as it is, because data.spacing is not set"
            if self.target is not None:
                use = f"resampled to data.spacing {_lengths(self.target, unit)}"
            message = (
                f"spacing {_lengths(spacing, unit)} is {', '.join(_plain(r, 2) for r in ratios)} "
                f"times that of training along z, y, x (median {_lengths(training.median, unit)}); "
                f"{use}"
            )
            yield DomainShift("spacing", message, max(factors))

    def _unit_message(self, grid: InputGrid, spacing: Spacing) -> str:
        unit = self.training.unit
        if grid.unit is not None and unit is not None:
            return (
                f"spacing in {grid.unit}, in training in {unit}; converted to "
                f"{_lengths(spacing, unit)}"
            )
        if unit is None:
            return (
                f"spacing in {grid.unit}, in training without a unit; its numbers "
                f"{_lengths(spacing, None)} are compared as they are"
            )
        return (
            f"spacing {_lengths(spacing, None)} without a unit, in training in {unit}; taken as "
            f"{unit}"
        )

    def _of_axes(self, grid: InputGrid) -> Iterator[DomainShift]:
        if grid.direction is None or not self.training.orientations:
            return
        found = orientation(grid.direction)
        if found not in self.training.orientations:
            usual = " or ".join(", ".join(one) for one in self.training.orientations)
            message = (
                f"axes z, y, x point to {', '.join(found)}, in training to {usual}; used as they "
                "are: reorient the file as in training"
            )
            yield DomainShift("orientation", message)

    def _of_intensity(
        self, image: CaseStatistics, dtype: np.dtype[np.generic]
    ) -> Iterator[DomainShift]:
        channels = self.training.channels
        if len(channels) != len(image.mean) or image.low is None or image.high is None:
            return
        lows, highs = normalised_extents(image, self.normalizer)
        for number, channel in enumerate(channels):
            name = f"channel {number}: " if len(channels) > 1 else ""
            extent = image.low[number], image.high[number]
            shift = _intensity_shift(channel, extent, (lows[number], highs[number]), dtype)
            if shift is not None:
                size, message = shift
                yield DomainShift("intensity", name + message, size)


def domain_check(
    members: Sequence[Member], networks: Sequence[TrainedNetwork]
) -> DomainCheck | None:
    """Return the comparison with the training cases of the first member that records them."""
    for member, network in zip(members, networks, strict=True):
        training = member.training_images
        if training is not None:
            return DomainCheck(training, network.normalizer, network.config.data.spacing)
    return None


def shift_lines(shifts: Mapping[str, Sequence[DomainShift]]) -> list[str]:
    """Return one warning for each kind of shift: its worst case, and how many cases have it.

    Args:
        shifts: Id of a volume -> its shifts.
    """
    by_kind: dict[Kind, dict[str, DomainShift]] = {}
    for name, found in shifts.items():
        for shift in found:
            cases = by_kind.setdefault(shift.kind, {})
            if name not in cases or shift.size > cases[name].size:
                cases[name] = shift
    lines = []
    for kind, cases in by_kind.items():
        worst = max(cases, key=lambda name: cases[name].size)
        number = f"{len(cases)} of {len(shifts)} volumes differ from training in {kind}, worst "
        lines.append(f"warning: {number if len(cases) > 1 else ''}{worst}: {cases[worst].message}")
    return lines


def _intensity_shift(
    training: IntensityRange,
    extent: tuple[float, float],
    normalised: tuple[float, float],
    dtype: np.dtype[np.generic],
) -> tuple[float, str] | None:
    """Return size and message of the first rule that a channel breaks."""
    low, high = extent
    width, (narrowest, widest) = high - low, training.width
    text = f"intensities {low:.4g} to {high:.4g}"
    if width == 0.0 < narrowest:
        return math.inf, f"constant image: 99 % of its voxels or more have the value {low:.4g}"
    if 0.0 < float32_numbers(low, high) < FEWEST_NUMBERS:
        return FEWEST_NUMBERS / float32_numbers(low, high), (
            f"intensities {low:.10g} to {high:.10g} are {float32_numbers(low, high):.3g} float32 "
            "numbers, in which networks compute; subtract a constant from the file"
        )
    if width > WIDTH_FACTOR * widest > 0.0 or WIDTH_FACTOR * width < narrowest:
        size = width / widest if width > widest else narrowest / width
        return size, (
            f"{text} span {width:.4g}, in training cases {narrowest:.4g} to {widest:.4g}; check "
            "modality and number range"
        )
    if dtype.kind in "bu" and training.minimum[1] < 0.0:
        return 1.0, (
            f"{text} without negative values ({dtype}), which every training case has; check the "
            "intensity offset"
        )
    if low < 0.0 <= training.minimum[0]:
        return 1.0, f"{text} with negative values, which no training case has; check the offset"
    first, last = training.normalised
    margin = INTENSITY_MARGIN * (last - first)
    excess = max(first - normalised[0], normalised[1] - last)
    if excess > margin:
        return excess / (last - first), (
            f"{text}, {normalised[0]:.3g} to {normalised[1]:.3g} after normalisation, in training "
            f"{first:.3g} to {last:.3g}; check modality and empty margins"
        )
    return None


def _lengths(spacing: Sequence[float], unit: str | None) -> str:
    return " x ".join(_plain(edge, 3) for edge in spacing) + (f" {unit}" if unit else "")


def _plain(number: float, digits: int) -> str:
    """Return a number with so many digits that count, and without an exponent: 3000."""
    return np.format_float_positional(number, precision=digits, fractional=False, trim="-")

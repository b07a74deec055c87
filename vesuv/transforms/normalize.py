"""Normalisation of intensities, on any device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from vesuv.config.data import NormalizeConfig, PositiveFloat
from vesuv.config.section import Section
from vesuv.data.statistics import CaseStatistics, DatasetStatistics, Floats
from vesuv.errors import InputError
from vesuv.runs.records import NormalizerRecord

_INFINITE = float("inf")
_OTHER_CHANNELS = (
    "the image has {image} channels, the normalisation was made for {normalizer}; give as many "
    "channels as in training"
)


@dataclass(frozen=True)
class IntensityMap:
    """y = (clip(x, low, high) - shift) / scale, one entry per channel; infinite bounds: no clip."""

    low: Floats
    high: Floats
    shift: Floats
    scale: Floats

    def apply(self, image: Tensor) -> Tensor:
        """Return the normalised image as a new float32 tensor.

        Args:
            image: (c, z, y, x), any real type.
        """
        mapped = image.to(torch.float32, copy=True)
        for channel, low, high, shift, scale in zip(
            mapped, self.low, self.high, self.shift, self.scale, strict=True
        ):
            if low > -_INFINITE or high < _INFINITE:
                channel.clamp_(low, high)
            channel.sub_(shift).div_(scale)
        return mapped


class Normalizer(NormalizerRecord):
    """Normalisation of all cases, stored in checkpoints.

    "zscore" and "minmax" scale each case by its own statistics, "by_channel" each channel in its
    own way; the others clip to [low, high], subtract `shift` and divide by `scale`.
    """

    @classmethod
    def of(cls, record: NormalizerRecord) -> Normalizer:
        """Return the normalizer of a checkpoint's record."""
        return cls.model_validate(record.model_dump())

    def for_case(self, statistics: CaseStatistics) -> IntensityMap:
        """Return the map for one case, with one entry for each channel of its statistics."""
        num_channels = len(statistics.mean)
        if self.channels is not None:
            return self._each_channel(self.channels, statistics)
        shift, scale = self.shift, self.scale
        if self.name == "minmax":
            spans = zip(statistics.min, statistics.max, strict=True)
            shift, scale = statistics.min, _zeros_to_ones(tuple(high - low for low, high in spans))
        elif shift is None or scale is None:
            shift, scale = statistics.mean, _zeros_to_ones(statistics.std)
        parameters = (self.low or (-_INFINITE,), self.high or (_INFINITE,), shift, scale)
        return IntensityMap(*(_by_channel(values, num_channels) for values in parameters))

    def _each_channel(
        self, records: Sequence[NormalizerRecord], statistics: CaseStatistics
    ) -> IntensityMap:
        """Return the map whose entry of each channel is that of its own normalizer."""
        num_channels = len(statistics.mean)
        if len(records) != num_channels:
            raise InputError(_OTHER_CHANNELS.format(image=num_channels, normalizer=len(records)))
        maps = [Normalizer.of(record).for_case(statistics) for record in records]
        low, high, shift, scale = (
            tuple(getattr(one, key)[channel] for channel, one in enumerate(maps))
            for key in ("low", "high", "shift", "scale")
        )
        return IntensityMap(low, high, shift, scale)


class Normalization(NormalizeConfig, ABC):
    """Base of the sections `data.normalize`."""

    @abstractmethod
    def build(self, dataset: DatasetStatistics) -> Normalizer:
        """Build the normalizer from the statistics of the training cases."""


class ZScore(Normalization):
    """Subtract each case's own mean and divide by its own standard deviation, per channel."""

    name: Literal["zscore"] = "zscore"

    def build(self, dataset: DatasetStatistics) -> Normalizer:  # noqa: ARG002 - statistics by case
        return Normalizer(name="zscore")


class Percentile(Normalization):
    """Clip to percentiles of the foreground's intensities, then z-score with their moments.

    Percentiles, mean and deviation are those of the foreground of all training cases. This suits
    CT, whose intensities have a physical meaning.
    """

    name: Literal["percentile"] = "percentile"
    low: float = Field(default=0.5, ge=0.0, le=100.0)
    """Percentile of the lower bound."""
    high: float = Field(default=99.5, ge=0.0, le=100.0)
    """Percentile of the upper bound; above `low`."""

    @model_validator(mode="after")
    def _ordered(self) -> Percentile:
        _check_order(self.low, self.high)
        return self

    def build(self, dataset: DatasetStatistics) -> Normalizer:
        foreground = dataset.foreground
        if foreground is None:
            raise InputError(
                "data.normalize: percentile needs labelled foreground in the training cases, found "
                "none; use zscore or range"
            )
        return Normalizer(
            name="percentile",
            low=foreground.percentile(self.low),
            high=foreground.percentile(self.high),
            shift=foreground.mean,
            scale=_zeros_to_ones(foreground.std),
        )


class FixedRange(Normalization):
    """Clip to [low, high] and map linearly to [-1, 1]."""

    name: Literal["range"] = "range"
    low: float
    """Intensity that becomes -1, in the files' unit."""
    high: float
    """Intensity that becomes 1, in the files' unit; above `low`."""

    @model_validator(mode="after")
    def _ordered(self) -> FixedRange:
        _check_order(self.low, self.high)
        return self

    def build(self, dataset: DatasetStatistics) -> Normalizer:  # noqa: ARG002 - fixed by the user
        middle, half = (self.high + self.low) / 2.0, (self.high - self.low) / 2.0
        return Normalizer(
            name="range", low=(self.low,), high=(self.high,), shift=(middle,), scale=(half,)
        )


class Fixed(Normalization):
    """Clip to [low, high], subtract `shift` and divide by `scale`; by default change nothing."""

    name: Literal["fixed"] = "fixed"
    low: float | None = None
    """Lower bound, in the files' unit; null: none."""
    high: float | None = None
    """Upper bound, in the files' unit; not below `low`; null: none."""
    shift: float = 0.0
    """Intensity that becomes 0."""
    scale: PositiveFloat = 1.0
    """Difference of intensities that becomes 1."""

    @model_validator(mode="after")
    def _ordered(self) -> Fixed:
        _check_order(self.low, self.high, may_be_equal=True)
        return self

    def build(self, dataset: DatasetStatistics) -> Normalizer:  # noqa: ARG002 - fixed by the user
        low, high = (None if end is None else (end,) for end in (self.low, self.high))
        return Normalizer(
            name="fixed", low=low, high=high, shift=(self.shift,), scale=(self.scale,)
        )


class MinMax(Normalization):
    """Map each case's own smallest and largest intensity to 0 and 1, per channel."""

    name: Literal["minmax"] = "minmax"

    def build(self, dataset: DatasetStatistics) -> Normalizer:  # noqa: ARG002 - statistics by case
        return Normalizer(name="minmax")


class ChannelNormalization(Section):
    """Normalization of one channel."""

    name: Literal["zscore", "minmax", "fixed"] = "zscore"
    """Normalization."""
    low: float | None = None
    """Of fixed: lower bound, in the files' unit; null: none."""
    high: float | None = None
    """Of fixed: upper bound, in the files' unit; null: none."""
    shift: float = 0.0
    """Of fixed: intensity that becomes 0."""
    scale: PositiveFloat = 1.0
    """Of fixed: difference of intensities that becomes 1."""

    @model_validator(mode="after")
    def _only_keys_that_are_read(self) -> ChannelNormalization:
        fields = {key: field.default for key, field in type(self).model_fields.items()}
        if self.name != "fixed" and self.model_dump() != fields | {"name": self.name}:
            raise ValueError(
                f"low, high, shift and scale are those of fixed, found them in {self.name}; leave "
                "them out, or set name to fixed"
            )
        _check_order(self.low, self.high, may_be_equal=True)
        return self

    def build(self, dataset: DatasetStatistics) -> Normalizer:
        """Build the normalizer of this channel."""
        fixed = Fixed(low=self.low, high=self.high, shift=self.shift, scale=self.scale)
        return fixed.build(dataset) if self.name == "fixed" else Normalizer(name=self.name)


class ByChannel(Normalization):
    """Normalise each channel in a way of its own."""

    name: Literal["by_channel"] = "by_channel"
    channels: tuple[ChannelNormalization, ...] = Field(min_length=1)
    """Normalization of each channel, in their order."""

    def build(self, dataset: DatasetStatistics) -> Normalizer:
        return Normalizer(
            name="by_channel", channels=tuple(one.build(dataset) for one in self.channels)
        )


NORMALIZERS: dict[str, type[Normalization]] = {
    "zscore": ZScore,
    "percentile": Percentile,
    "range": FixedRange,
    "fixed": Fixed,
    "minmax": MinMax,
    "by_channel": ByChannel,
}
"""Name in the configuration -> section."""


def build_normalizer(section: NormalizeConfig, dataset: DatasetStatistics) -> Normalizer:
    """Build the normalizer of the section `data.normalize`.

    Args:
        section: One of `NORMALIZERS`, or a section of another package.
        dataset: Statistics of the training cases.

    Raises:
        InputError: The section is percentile, and no voxel is labelled as foreground.
    """
    assert isinstance(section, Normalization)
    return section.build(dataset)


def _check_order(low: float | None, high: float | None, *, may_be_equal: bool = False) -> None:
    """Refuse bounds in the wrong order: they would make every intensity one value."""
    if low is not None and high is not None and (low > high or (low == high and not may_be_equal)):
        raise ValueError(f"low must be below high, found {low} and {high}")


def _zeros_to_ones(scale: Floats) -> Floats:
    """Replace 0, the deviation of a constant channel, by 1."""
    return tuple(s if s > 0.0 else 1.0 for s in scale)


def _by_channel(values: Floats, num_channels: int) -> Floats:
    if len(values) not in (1, num_channels):
        raise InputError(_OTHER_CHANNELS.format(image=num_channels, normalizer=len(values)))
    return values * num_channels if len(values) == 1 else values

"""Intensity statistics of one case and of a whole data set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vesuv.data.labels import IGNORE
from vesuv.data.moments import ChannelMoments
from vesuv.types import Array, Mask

_NUM_LEVELS = 1001
_LEVELS = np.linspace(0.0, 1.0, _NUM_LEVELS)
"""Levels of the quantiles of the foreground's intensities."""
_SAMPLE_SIZE = 100_000
"""Number of evenly spaced voxels that quantiles are computed from."""
FEWEST_NUMBERS = 256
"""Float32 numbers between the ends of an image's intensities, below which they are lost."""
_EXTENT = (0.5, 99.5)
"""Percentiles between which a case's intensities lie, single hot or dead voxels left out."""

# The constraints are checked when statistics are read from a store, see `vesuv.data.records`.
Floats = Annotated[tuple[float, ...], Field(min_length=1)]
Quantiles = Annotated[tuple[float, ...], Field(min_length=_NUM_LEVELS, max_length=_NUM_LEVELS)]
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Foreground:
    """Intensities of foreground voxels, one entry for each channel.

    Args:
        count: Foreground voxels.
        mean: Mean over them.
        std: Standard deviation over them.
        quantiles: 1001 evenly spaced quantiles, lowest first.
    """

    count: Count
    mean: Floats
    std: Floats
    quantiles: tuple[Quantiles, ...]

    def percentile(self, percent: float) -> Floats:
        """Return each channel's percentile, `percent` in [0, 100]."""
        return tuple(float(np.interp(percent / 100.0, _LEVELS, qs)) for qs in self.quantiles)


@dataclass(frozen=True)
class CaseStatistics:
    """Intensities of one case, one entry for each channel.

    Args:
        mean: Mean over all voxels.
        std: Standard deviation over them.
        min: Smallest value.
        max: Largest value.
        foreground: Intensities of the foreground; None without foreground voxels.
        low: 0.5th percentile over all voxels; None in older stores.
        high: 99.5th percentile over all voxels; None in older stores.
    """

    mean: Floats
    std: Floats
    min: Floats
    max: Floats
    foreground: Foreground | None = None
    low: Floats | None = None
    high: Floats | None = None


class Slices(Protocol):
    """A volume (z, y, x) that is read slice by slice: an array, or a file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int:
        """Slices along z."""
        ...

    def __getitem__(self, z: int, /) -> Array:
        """Return the slice (y, x) at z."""
        ...


class _EvenSample:
    """Every n-th of the values that are added, in their order."""

    def __init__(self, step: int) -> None:
        self._step, self._place = step, 0
        self._parts: list[NDArray[np.float64]] = []

    def add(self, values: Array) -> None:
        chosen = values.reshape(-1)[-self._place % self._step :: self._step]
        self._parts.append(chosen.astype(np.float64))
        self._place += values.size

    def values(self) -> NDArray[np.float64]:
        return np.concatenate(self._parts)


@dataclass(frozen=True)
class DatasetStatistics:
    """Foreground intensities pooled over the voxels of all cases."""

    num_cases: Count
    foreground: Foreground | None


def case_statistics(image: Sequence[Slices] | Array, label: Slices | None) -> CaseStatistics:
    """Measure one case, slice by slice.

    Args:
        image: Channels (z, y, x), any real type; an array, or slices that are read on request.
        label: Class indices (z, y, x); None for a case without label.

    Raises:
        InputError: The image holds NaN or infinite values.
    """
    moments, extents = [], []
    for channel in image:
        channel_moments = ChannelMoments()
        sample = _EvenSample(sample_step(math.prod(channel.shape)))
        for plane in _slices(channel):
            channel_moments.add(plane)
            sample.add(plane)
        moments.append(channel_moments.result())
        extents.append(extent_of_sample(sample.values()))
    mean, std, low, high = (tuple(part) for part in zip(*moments, strict=True))
    return CaseStatistics(
        *(mean, std, low, high, None if label is None else _foreground(list(image), label)),
        low=tuple(extent[0] for extent in extents),
        high=tuple(extent[1] for extent in extents),
    )


def merge_statistics(cases: Iterable[CaseStatistics]) -> DatasetStatistics:
    """Pool the foreground of several cases; mean and deviation are exact, quantiles approximate."""
    cases = list(cases)
    parts = [case.foreground for case in cases if case.foreground is not None]
    if not parts:
        return DatasetStatistics(len(cases), None)
    counts = np.array([part.count for part in parts], np.float64)
    weights = counts / counts.sum()
    means, stds = np.array([part.mean for part in parts]), np.array([part.std for part in parts])
    mean = weights @ means
    variance = weights @ (stds**2 + (means - mean) ** 2)
    quantiles = tuple(
        _pool_quantiles([part.quantiles[channel] for part in parts], weights)
        for channel in range(len(mean))
    )
    pooled = Foreground(
        int(counts.sum()), tuple(mean.tolist()), tuple(np.sqrt(variance).tolist()), quantiles
    )
    return DatasetStatistics(len(cases), pooled)


def float32_numbers(low: float, high: float) -> float:
    """Return how many float32 numbers, in which networks compute, lie between two intensities."""
    return (high - low) / float(np.spacing(np.float32(max(abs(low), abs(high)))))


def sample_step(size: int) -> int:
    """Return n of "every n-th voxel"; it shares no factor with the size, so that all rows count."""
    step = max(1, size // _SAMPLE_SIZE)
    while math.gcd(step, size) > 1:
        step += 1
    return step


def extent_of_sample(sample: NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentiles of a sample between which a case's intensities lie."""
    low, high = np.percentile(sample, _EXTENT).tolist()
    return low, high


def _foreground(image: Sequence[Slices], label: Slices) -> Foreground | None:
    count = sum(int(np.count_nonzero(_is_foreground(plane))) for plane in _slices(label))
    if not count:
        return None
    step = max(1, count // _SAMPLE_SIZE)
    mean, std, quantiles = [], [], []
    for channel in image:
        moments, sample = ChannelMoments(), _EvenSample(step)
        for plane, classes in zip(_slices(channel), _slices(label), strict=True):
            values = plane[_is_foreground(classes)]
            moments.add(values)
            sample.add(values)
        channel_mean, channel_std, _, _ = moments.result()
        mean.append(channel_mean)
        std.append(channel_std)
        quantiles.append(tuple(np.quantile(sample.values(), _LEVELS).tolist()))
    return Foreground(count, tuple(mean), tuple(std), tuple(quantiles))


def _is_foreground(classes: Array) -> Mask:
    mask: Mask = (classes > 0) & (classes != IGNORE)
    return mask


def _slices(volume: Slices) -> Iterator[Array]:
    return (volume[z] for z in range(len(volume)))


def _pool_quantiles(quantiles: list[Floats], weights: NDArray[np.float64]) -> Floats:
    """Quantiles of the union: each case's quantiles stand for an equal share of its voxels."""
    values = np.concatenate([np.asarray(case_quantiles) for case_quantiles in quantiles])
    share = np.repeat(weights / len(_LEVELS), len(_LEVELS))
    order = np.argsort(values, kind="stable")
    ranks = np.cumsum(share[order]) - share[order] / 2.0
    normalised_ranks = (ranks - ranks[0]) / max(ranks[-1] - ranks[0], np.finfo(float).tiny)
    return tuple(np.interp(_LEVELS, normalised_ranks, values[order]).tolist())

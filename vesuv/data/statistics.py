"""Intensity statistics of one case and of a whole data set."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vesuv.data.labels import IGNORE
from vesuv.errors import InputError
from vesuv.types import Array, ClassArray, Mask

_NUM_LEVELS = 1001
_LEVELS = np.linspace(0.0, 1.0, _NUM_LEVELS)
"""Levels of the quantiles of the foreground's intensities."""
_SAMPLE_SIZE = 100_000
"""Number of evenly spaced voxels that quantiles are computed from."""
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


@dataclass(frozen=True)
class DatasetStatistics:
    """Foreground intensities pooled over the voxels of all cases."""

    num_cases: Count
    foreground: Foreground | None


def case_statistics(image: Array, label: ClassArray | None) -> CaseStatistics:
    """Measure one case.

    Args:
        image: (c, z, y, x), any real type.
        label: Class indices (z, y, x); None for a case without label.

    Raises:
        InputError: The image holds NaN or infinite values.
    """
    moments = [_moments(channel) for channel in image]
    mean, std, low, high = (tuple(part) for part in zip(*moments, strict=True))
    foreground = None if label is None else _foreground(image, (label > 0) & (label != IGNORE))
    extents = [extent_of_sample(_sample(channel)) for channel in image]
    return CaseStatistics(
        *(mean, std, low, high, foreground),
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


def _moments(channel: Array) -> tuple[float, float, float, float]:
    """Mean, deviation, minimum and maximum of one channel, slice by slice to save memory."""
    if channel.dtype.kind == "b" or channel.dtype in (np.uint8, np.int8):
        return _moments_by_count(channel)
    slabs = channel.reshape(channel.shape[0], -1)
    with np.errstate(invalid="ignore"):
        total = sum(float(slab.sum(dtype=np.float64)) for slab in slabs)
    mean = total / channel.size
    if not np.isfinite(mean):
        _refuse_non_finite(channel)
    square = 0.0
    for slab in slabs:
        centred = slab.astype(np.float64) - mean
        square += float(centred @ centred)
    std = float(np.sqrt(square / channel.size))
    return mean, std, float(channel.min()), float(channel.max())


def _moments_by_count(channel: Array) -> tuple[float, float, float, float]:
    """The moments of an eight-bit channel by its histogram: exact and faster."""
    slabs = channel.view(np.uint8).reshape(channel.shape[0], -1)
    counts = np.zeros(256, np.int64)
    for slab in slabs:
        counts += np.bincount(slab, minlength=256)
    return moments_of_counts(counts, channel.dtype)


def moments_of_counts(
    counts: NDArray[np.int64], dtype: np.dtype[np.generic]
) -> tuple[float, float, float, float]:
    """Return mean, deviation, minimum and maximum of an eight-bit channel by its histogram.

    Args:
        counts: Voxels of each value, by its bits read as uint8.
        dtype: int8, uint8 or bool.
    """
    values = np.arange(256, dtype=np.uint8)
    values = values.view(np.int8) if dtype == np.int8 else values
    grey_values = values.astype(np.float64)
    size = int(counts.sum())
    mean = float(counts @ grey_values) / size
    std = float(np.sqrt(counts @ (grey_values - mean) ** 2 / size))
    observed = grey_values[counts > 0]
    return mean, std, float(observed.min()), float(observed.max())


def _sample(channel: Array) -> NDArray[np.float64]:
    return channel.reshape(-1)[:: sample_step(channel.size)].astype(np.float64)


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


def _refuse_non_finite(channel: Array) -> None:
    num_invalid = channel.size - int(np.isfinite(channel).sum())
    raise InputError(
        f"an image holds finite values, found NaN or infinite in {num_invalid} of {channel.size} "
        "voxels; replace them (for instance by the background's intensity)"
    )


def _foreground(image: Array, mask: Mask) -> Foreground | None:
    if not mask.any():
        return None
    mean, std, quantiles = [], [], []
    for channel in image:
        values = channel[mask]
        mean.append(float(values.mean(dtype=np.float64)))
        std.append(float(values.std(dtype=np.float64)))
        sample = values[:: max(1, values.size // _SAMPLE_SIZE)].astype(np.float64)
        quantiles.append(tuple(np.quantile(sample, _LEVELS).tolist()))
    return Foreground(int(values.size), tuple(mean), tuple(std), tuple(quantiles))


def _pool_quantiles(quantiles: list[Floats], weights: NDArray[np.float64]) -> Floats:
    """Quantiles of the union: each case's quantiles stand for an equal share of its voxels."""
    values = np.concatenate([np.asarray(case_quantiles) for case_quantiles in quantiles])
    share = np.repeat(weights / len(_LEVELS), len(_LEVELS))
    order = np.argsort(values, kind="stable")
    ranks = np.cumsum(share[order]) - share[order] / 2.0
    normalised_ranks = (ranks - ranks[0]) / max(ranks[-1] - ranks[0], np.finfo(float).tiny)
    return tuple(np.interp(_LEVELS, normalised_ranks, values[order]).tolist())

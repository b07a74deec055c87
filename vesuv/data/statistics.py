"""Intensity statistics of one case and of a whole data set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vesuv.data.labels import IGNORE
from vesuv.errors import InputError

Array = npt.NDArray[np.generic]
Floats = tuple[float, ...]

_LEVELS = np.linspace(0.0, 1.0, 1001)
"""Quantiles that are kept of the foreground's intensities."""
_SAMPLE = 100_000
"""Foreground voxels, evenly spaced, that quantiles are taken from."""


@dataclass(frozen=True)
class Foreground:
    """Intensities under the labelled foreground, one entry a channel.

    Args:
        count: Foreground voxels.
        mean: Mean over them.
        std: Standard deviation over them.
        quantiles: 1001 evenly spaced quantiles, lowest first.
    """

    count: int
    mean: Floats
    std: Floats
    quantiles: tuple[Floats, ...]

    def percentile(self, percent: float) -> Floats:
        """Return each channel's percentile, `percent` in [0, 100]."""
        return tuple(float(np.interp(percent / 100.0, _LEVELS, qs)) for qs in self.quantiles)


@dataclass(frozen=True)
class CaseStatistics:
    """One case's intensities, one entry a channel; foreground is None where nothing is labelled."""

    mean: Floats
    std: Floats
    min: Floats
    max: Floats
    foreground: Foreground | None = None

    def state(self) -> dict[str, Any]:
        """Return plain JSON types that `from_state` reads back exactly."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> CaseStatistics:
        """Rebuild from what `state` returned."""
        four = {key: _floats(state[key]) for key in ("mean", "std", "min", "max")}
        return cls(**four, foreground=_foreground_from(state["foreground"]))


@dataclass(frozen=True)
class DatasetStatistics:
    """Foreground intensities pooled over cases, each foreground voxel counting once."""

    num_cases: int
    foreground: Foreground | None

    def state(self) -> dict[str, Any]:
        """Return plain JSON types that `from_state` reads back exactly."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> DatasetStatistics:
        """Rebuild from what `state` returned."""
        return cls(int(state["num_cases"]), _foreground_from(state["foreground"]))


def case_statistics(image: Array, label: npt.NDArray[np.uint8] | None) -> CaseStatistics:
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
    return CaseStatistics(mean, std, low, high, foreground)


def merge_statistics(cases: Iterable[CaseStatistics]) -> DatasetStatistics:
    """Pool the foreground of several cases; mean and deviation exactly, quantiles closely."""
    every = list(cases)
    parts = [case.foreground for case in every if case.foreground is not None]
    if not parts:
        return DatasetStatistics(len(every), None)
    counts = np.array([part.count for part in parts], np.float64)
    weights = counts / counts.sum()
    means, stds = np.array([p.mean for p in parts]), np.array([p.std for p in parts])
    mean = weights @ means
    variance = weights @ (stds**2 + (means - mean) ** 2)
    quantiles = tuple(
        _pooled_quantiles([part.quantiles[channel] for part in parts], weights)
        for channel in range(len(mean))
    )
    pooled = Foreground(
        int(counts.sum()), tuple(mean.tolist()), tuple(np.sqrt(variance).tolist()), quantiles
    )
    return DatasetStatistics(len(every), pooled)


def _moments(channel: Array) -> tuple[float, float, float, float]:
    """Mean, deviation, least and greatest of one channel, without a copy of it."""
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
    """As `_moments`, exact and quick, from the histogram of an eight-bit channel."""
    raw = channel.view(np.uint8).reshape(channel.shape[0], -1)
    counts = np.zeros(256, np.int64)
    for slab in raw:
        counts += np.bincount(slab, minlength=256)
    values = np.arange(256, dtype=np.uint8)
    values = values.view(np.int8) if channel.dtype == np.int8 else values
    scale = values.astype(np.float64)
    mean = float(counts @ scale) / channel.size
    std = float(np.sqrt(counts @ (scale - mean) ** 2 / channel.size))
    present = scale[counts > 0]
    return mean, std, float(present.min()), float(present.max())


def _refuse_non_finite(channel: Array) -> None:
    number = channel.size - int(np.isfinite(channel).sum())
    raise InputError(
        f"an image holds finite values, found NaN or infinite in {number} of {channel.size} "
        "voxels; replace them (for instance by the background's intensity)"
    )


def _foreground(image: Array, mask: npt.NDArray[np.bool_]) -> Foreground | None:
    if not mask.any():
        return None
    mean, std, quantiles = [], [], []
    for channel in image:
        values = channel[mask]
        mean.append(float(values.mean(dtype=np.float64)))
        std.append(float(values.std(dtype=np.float64)))
        sample = values[:: max(1, values.size // _SAMPLE)].astype(np.float64)
        quantiles.append(tuple(np.quantile(sample, _LEVELS).tolist()))
    return Foreground(int(values.size), tuple(mean), tuple(std), tuple(quantiles))


def _pooled_quantiles(quantiles: list[Floats], weights: npt.NDArray[np.float64]) -> Floats:
    """Quantiles of the union: each case's quantiles stand for an equal share of its voxels."""
    values = np.concatenate([np.asarray(qs) for qs in quantiles])
    share = np.repeat(weights / len(_LEVELS), len(_LEVELS))
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(share[order]) - share[order] / 2.0
    spread = (reached - reached[0]) / max(reached[-1] - reached[0], np.finfo(float).tiny)
    return tuple(np.interp(_LEVELS, spread, values[order]).tolist())


def _foreground_from(state: dict[str, Any] | None) -> Foreground | None:
    if state is None:
        return None
    quantiles = tuple(_floats(channel) for channel in state["quantiles"])
    return Foreground(int(state["count"]), _floats(state["mean"]), _floats(state["std"]), quantiles)


def _floats(values: Iterable[float]) -> Floats:
    """JSON has whole numbers of any length, which NumPy would keep as objects."""
    return tuple(map(float, values))

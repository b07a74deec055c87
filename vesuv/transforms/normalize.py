"""Intensities of the store -> what the network sees, on whatever device the voxels are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from vesuv.config.data import FixedRange, Normalize, Percentile
from vesuv.data.statistics import CaseStatistics, DatasetStatistics, Floats
from vesuv.errors import InputError

_INFINITE = float("inf")


@dataclass(frozen=True)
class IntensityMap:
    """y = (clip(x, low, high) - shift) / scale, one entry a channel; infinite bounds: no clip."""

    low: Floats
    high: Floats
    shift: Floats
    scale: Floats

    def apply(self, image: Tensor) -> Tensor:
        """Return a new float32 tensor.

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


@dataclass(frozen=True)
class Normalizer:
    """How every case's intensities are scaled; stored in checkpoints.

    Args:
        name: "zscore" (each case by its own statistics), "percentile" or "range".
        low: Lower clipping bounds, one a channel or one for all; None for zscore.
        high: Upper clipping bounds.
        shift: Subtracted after clipping.
        scale: Divided by after that.
    """

    name: str
    low: Floats | None = None
    high: Floats | None = None
    shift: Floats | None = None
    scale: Floats | None = None

    def for_case(self, statistics: CaseStatistics) -> IntensityMap:
        """Return the map for one case, with as many channels as its statistics have."""
        num = len(statistics.mean)
        if self.low is None or self.high is None or self.shift is None or self.scale is None:
            bound = (_INFINITE,) * num
            low = (-_INFINITE,) * num
            return IntensityMap(low, bound, statistics.mean, _non_zero(statistics.std))
        parts = (self.low, self.high, self.shift, self.scale)
        low, high, shift, scale = (_spread(part, num) for part in parts)
        return IntensityMap(low, high, shift, scale)

    def state(self) -> dict[str, Any]:
        """Return plain JSON types that `from_state` reads back exactly."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Normalizer:
        """Rebuild from what `state` returned; anything else is a TypeError or ValueError."""
        parts = {
            key: None if values is None else tuple(map(float, values))
            for key, values in state.items()
            if key != "name"
        }
        return cls(str(state["name"]), **parts)


def build_normalizer(config: Normalize, dataset: DatasetStatistics | None) -> Normalizer:
    """Settle the data set's part of the normalisation.

    Args:
        config: Section `data.normalize`.
        dataset: Statistics of the training cases; only percentile needs them.

    Raises:
        InputError: percentile without any labelled foreground.
    """
    if isinstance(config, FixedRange):
        middle, half = (config.high + config.low) / 2.0, (config.high - config.low) / 2.0
        return Normalizer("range", (config.low,), (config.high,), (middle,), (half,))
    if not isinstance(config, Percentile):
        return Normalizer("zscore")
    if dataset is None or dataset.foreground is None:
        raise InputError(
            "data.normalize: percentile needs labelled foreground in the training cases, found "
            "none; use zscore or range"
        )
    foreground = dataset.foreground
    return Normalizer(
        "percentile",
        foreground.percentile(config.low),
        foreground.percentile(config.high),
        foreground.mean,
        _non_zero(foreground.std),
    )


def _non_zero(scale: Floats) -> Floats:
    """A constant channel is shifted to zero and not divided."""
    return tuple(s if s > 0.0 else 1.0 for s in scale)


def _spread(values: Floats, num: int) -> Floats:
    if len(values) not in (1, num):
        raise InputError(
            f"the image has {num} channels, the normalisation was made for {len(values)}; "
            "give as many channels as in training"
        )
    return values * num if len(values) == 1 else values

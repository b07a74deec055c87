"""Moments of intensities that are read part by part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesuv.errors import InputError
from vesuv.types import Array


@dataclass
class ChannelMoments:
    """Moments of one channel, merged from parts in any order.

    Numbers of 8 and 16 bits are counted by value, so that the order of the parts changes no bit of
    the result; the moments of others are merged, and differ by rounding.

    Source:
        Chan, Golub, LeVeque 1979, Updating formulae and a pairwise algorithm for computing sample
        variances.
    """

    count: int = 0
    num_invalid: int = 0
    """Voxels that are NaN or infinite."""
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    histogram: NDArray[np.int64] | None = None
    dtype: np.dtype[Any] | None = None

    def add(self, voxels: Array) -> None:
        """Add the voxels of a part."""
        if voxels.size == 0:
            return
        if voxels.dtype.kind != "f" and voxels.dtype.itemsize <= 2:
            counts = _count_bits(voxels)
            self.histogram = counts if self.histogram is None else self.histogram + counts
            self.dtype = voxels.dtype
            return
        with np.errstate(invalid="ignore"):
            total = float(voxels.sum(dtype=np.float64))
        merged = self.count + voxels.size
        if math.isfinite(total):
            mean = total / voxels.size
            centred = voxels.reshape(-1).astype(np.float64) - mean
            difference = mean - self.mean
            self.squares += float(centred @ centred)
            self.squares += difference**2 * self.count * voxels.size / merged
            self.mean += difference * voxels.size / merged
            self.low = min(self.low, float(voxels.min()))
            self.high = max(self.high, float(voxels.max()))
        else:
            self.num_invalid += voxels.size - int(np.isfinite(voxels).sum())
        self.count = merged

    def check_finite(self) -> None:
        """Refuse NaN and infinite values among the voxels so far.

        Raises:
            InputError: Says how many there are.
        """
        refuse_invalid(self.num_invalid, self.count)

    def result(self) -> tuple[float, float, float, float]:
        """Return mean, deviation, minimum and maximum.

        Raises:
            InputError: Voxels are NaN or infinite.
        """
        self.check_finite()
        if self.histogram is not None:
            assert self.dtype is not None
            return _moments_of_counts(self.histogram, self.dtype)
        return self.mean, math.sqrt(self.squares / self.count), self.low, self.high


def refuse_invalid(num_invalid: int, num_voxels: int) -> None:
    """Refuse an image that holds NaN or infinite values.

    Args:
        num_invalid: How many voxels do.
        num_voxels: All voxels.

    Raises:
        InputError: There are some.
    """
    if num_invalid:
        raise InputError(
            f"an image holds finite values, found NaN or infinite in {num_invalid} of {num_voxels} "
            "voxels; replace them (for instance by the background's intensity)"
        )


def _count_bits(voxels: Array) -> NDArray[np.int64]:
    """Count the values of 8 or 16 bits, each read as an unsigned number."""
    native = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("=")).reshape(-1)
    bits = native.view(np.uint8 if native.dtype.itemsize == 1 else np.uint16)
    return np.bincount(bits, minlength=1 << 8 * bits.itemsize)


def _moments_of_counts(
    counts: NDArray[np.int64], dtype: np.dtype[Any]
) -> tuple[float, float, float, float]:
    unsigned = np.arange(len(counts), dtype=np.uint8 if len(counts) == 256 else np.uint16)
    is_signed = dtype.kind == "i"
    values = unsigned.view(f"i{unsigned.itemsize}") if is_signed else unsigned
    grey_values = values.astype(np.float64)
    size = int(counts.sum())
    mean = float(counts @ grey_values) / size
    std = float(np.sqrt(counts @ (grey_values - mean) ** 2 / size))
    observed = grey_values[counts > 0]
    return mean, std, float(observed.min()), float(observed.max())

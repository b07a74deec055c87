"""Intensity statistics of a volume that is not in memory: from all of it, or a regular sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesuv.data.moments import ChannelMoments
from vesuv.data.statistics import CaseStatistics, extent_of_sample, sample_step
from vesuv.types import Array, Region, Shape

FULL_PASS_VOXELS = 2**33
"""Largest volume that is read whole for its statistics, unless the user asks for it."""
SAMPLE_VOXELS = 2**28
"""Voxels of the sample of a larger volume, at least."""
TILE_EDGE = 128
"""Edge of the cubes that are read one after the other."""

Pass = Literal["full", "sample"]


@dataclass(frozen=True)
class ImageStatistics:
    """Intensities of a whole volume.

    Args:
        working: At the networks' spacing.
        limits: Smallest and largest value of each channel of the file, between which resampled
            values lie; those of its number type where they are not measured.
        coverage: full, or sample.
        share: Share of the voxels that was read.
    """

    working: CaseStatistics
    limits: tuple[tuple[float, float], ...]
    coverage: Pass
    share: float

    def to_json(self) -> dict[str, Any]:
        """Return what a record holds; `from_json` restores it exactly."""
        one = self.working
        return {
            "coverage": self.coverage,
            "share": self.share,
            "limits": [[repr(edge) for edge in pair] for pair in self.limits],
            **{
                name: list(getattr(one, name))
                for name in ("mean", "std", "min", "max", "low", "high")
            },
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ImageStatistics:
        """Return the statistics of a record."""
        limits = tuple((float(low), float(high)) for low, high in content["limits"])
        mean, std, low, high = (tuple(content[name]) for name in ("mean", "std", "min", "max"))
        extent = {name: tuple(content[name]) for name in ("low", "high")}
        working = CaseStatistics(mean, std, low, high, low=extent["low"], high=extent["high"])
        return cls(working, limits, content["coverage"], content["share"])

    def __str__(self) -> str:
        """One line for the user."""
        what = "the whole volume"
        if self.coverage == "sample":
            what = f"a regular sample of {self.share:.2%} of the volume"
        values = ", ".join(
            f"{m:.6g} ± {s:.6g}" for m, s in zip(self.working.mean, self.working.std, strict=True)
        )
        return f"intensities (mean ± deviation) {values}, from {what}"


@dataclass
class StatisticsPass:
    """Accumulates the statistics of tiles.

    Args:
        shape: Shape of the whole volume.
        num_channels: Its channels.
        coverage: Whether all tiles are added, so that the percentiles can be taken from the voxels
            that `vesuv.data.statistics.case_statistics` takes.
    """

    shape: Shape
    num_channels: int
    coverage: Pass
    moments: list[ChannelMoments] = field(init=False)
    samples: list[list[Array]] = field(init=False)

    def __post_init__(self) -> None:
        self.moments = [ChannelMoments() for _ in range(self.num_channels)]
        self.samples = [[] for _ in range(self.num_channels)]
        self._step = sample_step(math.prod(self.shape))

    def add(self, tile: Array, region: Region) -> None:
        """Add the voxels (c, z, y, x) of a region.

        Raises:
            InputError: They hold NaN or infinite values.
        """
        chosen: Any = (slice(None, None, 4),) * 3
        if self.coverage == "full":
            chosen = _nth_voxels(self.shape, region, self._step)
        for channel, moments, sample in zip(tile, self.moments, self.samples, strict=True):
            moments.add(channel)
            moments.check_finite()
            sample.append(channel[chosen].reshape(-1))

    def result(self) -> CaseStatistics:
        """Return the statistics of all tiles."""
        results = [one.result() for one in self.moments]
        mean, std, low, high = (tuple(part) for part in zip(*results, strict=True))
        samples = (np.concatenate(sample).astype(np.float64) for sample in self.samples)
        extents = [extent_of_sample(sample) for sample in samples]
        return CaseStatistics(
            *(mean, std, low, high),
            low=tuple(extent[0] for extent in extents),
            high=tuple(extent[1] for extent in extents),
        )


def tiles(shape: Shape, coverage: Pass) -> list[Region]:
    """Return the cubes that a pass reads: all, or every n-th so that enough voxels are read."""
    every = [
        [slice(start, min(start + TILE_EDGE, edge)) for start in range(0, edge, TILE_EDGE)]
        for edge in shape
    ]
    regions = [(z, y, x) for z in every[0] for y in every[1] for x in every[2]]
    if coverage == "full":
        return regions
    num_chosen = -(-SAMPLE_VOXELS // TILE_EDGE**3)
    step = max(1, len(regions) // num_chosen)
    while math.gcd(step, len(regions)) > 1:
        step += 1
    return regions[step // 2 :: step]


def num_voxels(regions: Sequence[Region]) -> int:
    """Return the number of voxels of disjoint regions."""
    return sum(math.prod(part.stop - part.start for part in region) for region in regions)


def _nth_voxels(shape: Shape, region: Region, step: int) -> tuple[Array, Array, Array]:
    """Positions in a region of every n-th voxel of the whole volume in C order."""
    z, y, x = region
    rows = (np.arange(z.start, z.stop)[:, None] * shape[1] + np.arange(y.start, y.stop)) * shape[2]
    offset = -(rows + x.start) % step
    width = x.stop - x.start
    found = list(_places(offset, step, width))
    columns = [np.concatenate(part) for part in zip(*found, strict=True)] if found else []
    if not columns:
        return (np.zeros(0, np.intp),) * 3
    return columns[0], columns[1], columns[2]


def _places(
    offset: NDArray[np.intp], step: int, width: int
) -> Iterator[tuple[Array, Array, Array]]:
    for first in range(0, width, step):
        places = offset + first
        zs, ys = np.nonzero(places < width)
        yield zs, ys, places[zs, ys]

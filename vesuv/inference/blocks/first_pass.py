"""First pass over a volume: the intensity statistics that normalise every block."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vesuv.data.moments import ChannelMoments
from vesuv.data.preparation import storable_part_type, to_storable_part
from vesuv.inference.blocks.compute import Grids, read_working
from vesuv.inference.blocks.statistics import (
    FULL_PASS_VOXELS,
    ImageStatistics,
    Pass,
    StatisticsPass,
    num_voxels,
    tiles,
)
from vesuv.io.lazy.volume import Voxels, read_voxels
from vesuv.types import Progress, no_progress

_Limits = tuple[tuple[float, float], ...]


def choose_coverage(grids: Grids, requested: Pass | None = None) -> Pass:
    """Return the user's choice, else full for volumes of at most `FULL_PASS_VOXELS`."""
    return requested or ("full" if math.prod(grids.native) <= FULL_PASS_VOXELS else "sample")


def measure_image(
    voxels: Voxels, grids: Grids, coverage: Pass, progress: Progress = no_progress
) -> ImageStatistics:
    """Measure the intensities of a volume, tile by tile.

    A full pass gives the statistics that `vesuv.data.statistics.case_statistics` gives for the
    whole volume at the networks' spacing.

    Args:
        voxels: The file.
        grids: Its grids.
        coverage: full, or sample.
        progress: Called with the numbers of finished and of all tiles.

    Raises:
        FormatError: The file is damaged, or its disk or server fails.
        InputError: The image holds NaN or infinite values.
    """
    regions = tiles(grids.working, coverage)
    limits = _limits(voxels, grids, coverage)
    measured = StatisticsPass(grids.working, voxels.shape[0], coverage)
    for number, region in enumerate(regions, start=1):
        measured.add(read_working(voxels, grids, limits, region), region)
        progress(number, len(regions))
    share = num_voxels(regions) / math.prod(grids.working)
    return ImageStatistics(measured.result(), limits, coverage, share)


def _limits(voxels: Voxels, grids: Grids, coverage: Pass) -> _Limits:
    """Smallest and largest value of each channel, or that its number type holds."""
    num_channels = voxels.shape[0]
    if grids.to_working.is_identity or coverage == "sample":
        return (_limits_of_type(storable_part_type(voxels.dtype)),) * num_channels
    moments = [ChannelMoments() for _ in range(num_channels)]
    for region in tiles(grids.native, coverage):
        for channel, one in zip(
            to_storable_part(read_voxels(voxels, region)), moments, strict=True
        ):
            one.add(channel)
    return tuple((low, high) for _, _, low, high in (one.result() for one in moments))


def _limits_of_type(dtype: np.dtype[Any]) -> tuple[float, float]:
    if dtype.kind == "f":
        return -math.inf, math.inf
    if dtype.kind == "b":
        return 0.0, 1.0
    return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)

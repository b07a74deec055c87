"""Scores of the places of a box in a volume, summed block by block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesuv.inference.suggestion.places import PlaceGrid, RankedPlaces
from vesuv.inference.suggestion.ranking import PlaceRanking
from vesuv.types import Array, Mask, Region

_STEPS = 2**30
"""Steps of a bit or of probability 1. Sums of integers do not depend on the blocks."""
_SLICES = 8
"""Slices of a block that are held as integers at a time."""

Sums = NDArray[np.int64]


@dataclass(frozen=True)
class ScoredPlaces:
    """Places of a volume and what was measured there.

    Args:
        places: The best places.
        mean: Mean mutual information over the volume; None where scores are random.
    """

    places: RankedPlaces
    mean: float | None


class PlaceScorer:
    """Mean mutual information of each place, or random numbers.

    Blocks are added in the order of their first slices. Places are ranked when all their slices
    were added, so that memory depends on the width of the volume and not on its height.

    Args:
        grid: The places.
        number: Boxes that are chosen.
        closed: Regions that no box may touch.
        rng: Draws random scores; None: scores are means.
    """

    def __init__(
        self,
        grid: PlaceGrid,
        number: int,
        closed: Sequence[Region] = (),
        rng: np.random.Generator | None = None,
    ) -> None:
        self.grid, self.rng = grid, rng
        self._closed = [grid.touching(region) for region in closed]
        self._ranking = PlaceRanking(grid, number)
        self._planes: dict[int, Sums] = {}
        self._num_ranked = 0
        self._total = 0

    def add(
        self,
        block: Region,
        bits: Array | None = None,
        foreground: Array | None = None,
        labelled: Mask | None = None,
    ) -> None:
        """Add the voxels of a block, (z, y, x).

        Args:
            block: Its region of the volume.
            bits: Mutual information; labelled voxels count as 0.
            foreground: Probability of foreground.
            labelled: Which voxels are labelled already; a place of these alone is left out.
        """
        self._rank(block[0].start)
        if bits is not None and labelled is not None:
            bits = np.where(labelled, np.float32(0.0), bits)
        for number, (values, steps) in enumerate(
            ((bits, _STEPS), (foreground, _STEPS), (labelled, 1))
        ):
            if values is not None:
                self._add(number, values, steps, block)

    def result(self) -> ScoredPlaces:
        """Return the best places, after the last block."""
        self._rank(math.inf)
        mean = None if self.rng is not None else self._total / (_STEPS * self.grid.num_voxels)
        return ScoredPlaces(self._ranking.result(), mean)

    def _add(self, number: int, values: Array, steps: int, block: Region) -> None:
        """Add one quantity to the sums of the places that have voxels of a block."""
        touched, depth = self.grid.touching(block), len(values)
        rows = []
        for first in range(0, depth, _SLICES):
            integers = _integers(values[first : first + _SLICES], steps)
            self._total += int(integers.sum()) if number == 0 else 0
            for axis in (2, 1):
                integers = self._box_sums(integers, axis, touched, block)
            rows.append(integers)
        sums = self._box_sums(np.concatenate(rows), 0, touched, block)
        for position, plane in zip(range(touched[0].start, touched[0].stop), sums, strict=True):
            self._plane(position)[(number, *touched[1:])] += plane

    def _box_sums(self, values: Sums, axis: int, touched: Region, block: Region) -> Sums:
        """Return the sums along an axis over the part of each box that lies in a block."""
        part, starts = block[axis], self.grid.starts[axis][touched[axis]]
        ends = [starts, starts + self.grid.size[axis]]
        first, last = (np.clip(one, part.start, part.stop) - part.start for one in ends)
        totals = np.cumsum(values, axis=axis)
        totals = np.concatenate([np.zeros_like(np.take(totals, [0], axis)), totals], axis)
        sums: Sums = np.take(totals, last, axis) - np.take(totals, first, axis)
        return sums

    def _plane(self, position: int) -> Sums:
        """Sums of bits, foreground and labelled voxels of the places of one plane, (3, y, x)."""
        if position not in self._planes:
            self._planes[position] = np.zeros((3, *self.grid.shape[1:]), np.int64)
        return self._planes[position]

    def _rank(self, end: float) -> None:
        """Rank the planes whose boxes end at a slice or before it."""
        starts, edge = self.grid.starts[0], self.grid.size[0]
        while self._num_ranked < len(starts) and starts[self._num_ranked] + edge <= end:
            self._rank_plane(self._num_ranked)
            self._num_ranked += 1

    def _rank_plane(self, position: int) -> None:
        bits, foreground, num_labelled = self._plane(position)
        del self._planes[position]
        num_voxels = math.prod(self.grid.size)
        scores = bits / (_STEPS * num_voxels) if self.rng is None else self.rng.random(bits.shape)
        scores[num_labelled == num_voxels] = -np.inf
        for z, y, x in self._closed:
            if z.start <= position < z.stop:
                scores[y, x] = -np.inf
        self._ranking.add_plane(position, scores, foreground / (_STEPS * num_voxels))


def _integers(values: Array, steps: int) -> Sums:
    return np.rint(values * np.float32(steps)).astype(np.int64)

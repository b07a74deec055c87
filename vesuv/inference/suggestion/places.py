"""Choice of boxes of one size in several volumes: high scores, no common voxels, spread out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesuv.errors import InputError
from vesuv.io.printable import number_of
from vesuv.types import Array, Mask, Region, Shape

_PLACES_PER_EDGE = 4
"""Places that are compared along one edge of a box."""
_DISTANCES = (2.0, 1.5, 1.0)
"""Distances of boxes in their own edges, in the order in which they are tried: one box between two,
half a box, none."""
_TAKEN = -np.inf

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """A box in one of several volumes.

    Args:
        volume: Position of the volume.
        start: First voxel.
        score: Its score.
    """

    volume: int
    start: Shape
    score: float


@dataclass(frozen=True)
class PlaceGrid:
    """Places of a box in a volume: each fourth of an edge, each whole edge, and the last place.

    Args:
        starts: First voxels along z, y, x, ascending.
        size: Edges of the box.
    """

    starts: tuple[NDArray[np.int64], ...]
    size: Shape

    @classmethod
    def over(cls, shape: Shape, size: Shape) -> PlaceGrid:
        """Return the places in a volume that is nowhere shorter than the box."""
        return cls(tuple(map(_starts, shape, size)), size)

    def means(self, values: Array) -> Scores:
        """Return the mean of the voxels of each box.

        Args:
            values: (z, y, x).
        """
        means = values
        for axis, (starts, edge) in enumerate(zip(self.starts, self.size, strict=True)):
            total = np.cumsum(means, axis=axis, dtype=np.float64)
            before = np.zeros_like(np.take(total, [0], axis=axis))
            padded = np.concatenate([before, total], axis=axis)
            means = np.take(padded, starts + edge, axis=axis) - np.take(padded, starts, axis=axis)
            means /= edge
        return means

    def overlapping(self, region: Region) -> Mask:
        """Return which boxes have voxels of a region."""
        z, y, x = (
            (starts < part.stop) & (starts + edge > part.start)
            for starts, edge, part in zip(self.starts, self.size, region, strict=True)
        )
        return _box(z, y, x)

    def near(self, start: Shape, distance: float) -> Mask:
        """Return which boxes are nearer to a place than a number of edges, along every axis."""
        z, y, x = (
            np.abs(starts - place) < distance * edge
            for starts, place, edge in zip(self.starts, start, self.size, strict=True)
        )
        return _box(z, y, x)

    def tiles(self) -> Mask:
        """Return which boxes are those that fill the volume without gaps from its first voxel."""
        z, y, x = (starts % edge == 0 for starts, edge in zip(self.starts, self.size, strict=True))
        return _box(z, y, x)

    def start(self, index: Sequence[int]) -> Shape:
        """Return the first voxel of the place at an index of the scores."""
        z, y, x = (int(starts[i]) for starts, i in zip(self.starts, index, strict=True))
        return z, y, x

    def index(self, start: Shape) -> tuple[int, ...]:
        """Return the index of the scores of a place."""
        pairs = zip(self.starts, start, strict=True)
        return tuple(int(np.searchsorted(starts, place)) for starts, place in pairs)


def choose_places(grids: Sequence[PlaceGrid], scores: Sequence[Scores], number: int) -> list[Place]:
    """Choose places, that of the highest score first.

    A place is left out where its box is nearer than two edges, along every axis, to a box that was
    chosen before; where this leaves too few, nearer than one and a half, then than one. At last,
    the volumes are tiled.

    Args:
        grids: Places in each volume.
        scores: Score of each place; minus infinity: it cannot be chosen.
        number: Number of places.

    Raises:
        InputError: So many boxes have no room.
    """
    most = 0
    for distance in _DISTANCES:
        places = _greedy(grids, scores, number, distance)
        if len(places) == number:
            return places
        most = max(most, len(places))
    tiled = [np.where(grid.tiles(), one, _TAKEN) for grid, one in zip(grids, scores, strict=True)]
    places = _greedy(grids, tiled, number, _DISTANCES[-1])
    if len(places) < number:
        raise InputError(
            "--number: beside what is labelled there is room for "
            f"{number_of(max(most, len(places)), 'cube')} of {edges_text(grids[0].size)} voxels, "
            f"found {number}; lower it, or --size"
        )
    return places


def num_tiles(shape: Shape, size: Shape) -> int:
    """Return the number of boxes that a volume can hold without common voxels."""
    z, y, x = (length // edge for length, edge in zip(shape, size, strict=True))
    return z * y * x


def _box(z: Mask, y: Mask, x: Mask) -> Mask:
    """Return the product of what holds along each axis, (z, y, x)."""
    box: Mask = z[:, None, None] & y[None, :, None] & x[None, None, :]
    return box


def _greedy(
    grids: Sequence[PlaceGrid], scores: Sequence[Scores], number: int, distance: float
) -> list[Place]:
    remaining = [one.copy() for one in scores]
    places: list[Place] = []
    while len(places) < number:
        volume = max(range(len(remaining)), key=lambda index: remaining[index].max())
        best = int(remaining[volume].argmax())
        score = float(remaining[volume].flat[best])
        if score == _TAKEN:
            break
        index = [int(i) for i in np.unravel_index(best, remaining[volume].shape)]
        start = grids[volume].start(index)
        remaining[volume][grids[volume].near(start, distance)] = _TAKEN
        places.append(Place(volume, start, score))
    return places


def _starts(length: int, edge: int) -> NDArray[np.int64]:
    last = length - edge
    step = max(1, edge // _PLACES_PER_EDGE)
    starts = {*range(0, last + 1, step), *range(0, last + 1, edge), last}
    return np.array(sorted(starts), np.int64)


def edges_text(size: Sequence[int]) -> str:
    """Return edges in voxels as 64x64x64."""
    return "x".join(map(str, size))

"""Choice of boxes of one size in several volumes: high scores, no common voxels, spread out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesuv.errors import InputError
from vesuv.io.printable import number_of
from vesuv.types import Mask, Region, Shape

_PLACES_PER_EDGE = 4
"""Places that are compared along one edge of a box."""
DISTANCES = (2.0, 1.5, 1.0)
"""Distances of boxes in their own edges, in the order in which they are tried: one box between two,
half a box, none."""

Scores = NDArray[np.float64]


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

    @property
    def shape(self) -> Shape:
        """Number of places along z, y, x."""
        z, y, x = map(len, self.starts)
        return z, y, x

    @property
    def num_voxels(self) -> int:
        """Voxels of the volume."""
        z, y, x = (int(one[-1]) + edge for one, edge in zip(self.starts, self.size, strict=True))
        return z * y * x

    def touching(self, region: Region) -> Region:
        """Return the places, by their positions along z, y, x, whose boxes have voxels of a region.

        Args:
            region: Region of the volume.
        """
        z, y, x = (
            slice(
                int(np.searchsorted(starts + edge, part.start, side="right")),
                int(np.searchsorted(starts, part.stop, side="left")),
            )
            for starts, edge, part in zip(self.starts, self.size, region, strict=True)
        )
        return z, y, x

    def most_near(self, distance: float) -> int:
        """Return the largest number of places that are nearer to one than a number of edges."""
        most = 1
        for starts, edge in zip(self.starts, self.size, strict=True):
            first = np.searchsorted(starts, starts - distance * edge, side="right")
            last = np.searchsorted(starts, starts + distance * edge, side="left")
            most *= int((last - first).max())
        return most


@dataclass(frozen=True)
class RankedPlaces:
    """Places of a box in a volume, that of the highest score first.

    Args:
        size: Edges of the box.
        starts: First voxels, (n, 3).
        scores: Score of each, descending; of equal scores the lower first voxel comes first.
        foreground: Mean probability of foreground at each.
    """

    size: Shape
    starts: NDArray[np.int64]
    scores: Scores
    foreground: Scores

    def near(self, start: NDArray[np.int64], distance: float) -> Mask:
        """Return which boxes are nearer to a place than a number of edges, along every axis."""
        nearer = np.abs(self.starts - start) < distance * np.array(self.size)
        near: Mask = nearer.all(axis=1)
        return near

    def tiles(self) -> Mask:
        """Return which boxes are those that fill the volume without gaps from its first voxel."""
        tiles: Mask = (self.starts % np.array(self.size) == 0).all(axis=1)
        return tiles


@dataclass(frozen=True)
class Place:
    """A place that was chosen.

    Args:
        volume: Position of its volume.
        rank: Its position among the places of the volume.
    """

    volume: int
    rank: int


def choose_places(volumes: Sequence[RankedPlaces], number: int) -> list[Place]:
    """Choose places, that of the highest score first.

    A place is left out where its box is nearer than two edges, along every axis, to a box that was
    chosen before; where this leaves too few, nearer than one and a half, then than one. At last,
    the volumes are tiled.

    Args:
        volumes: Places in each volume.
        number: Number of places.

    Raises:
        InputError: So many boxes have no room.
    """
    all_places = [np.ones(len(one.scores), bool) for one in volumes]
    attempts = [(all_places, distance) for distance in DISTANCES]
    attempts.append(([one.tiles() for one in volumes], DISTANCES[-1]))
    most = 0
    for allowed, distance in attempts:
        places = _greedy(volumes, allowed, number, distance)
        if len(places) == number:
            return places
        most = max(most, len(places))
    raise InputError(
        f"--number: beside what is labelled there is room for {number_of(most, 'cube')} of "
        f"{edges_text(volumes[0].size)} voxels, found {number}; lower it, or --size"
    )


def num_tiles(shape: Shape, size: Shape) -> int:
    """Return the number of boxes that a volume can hold without common voxels."""
    z, y, x = (length // edge for length, edge in zip(shape, size, strict=True))
    return z * y * x


def _greedy(
    volumes: Sequence[RankedPlaces], allowed: Sequence[Mask], number: int, distance: float
) -> list[Place]:
    free = [one.copy() for one in allowed]
    places: list[Place] = []
    while len(places) < number and any(one.any() for one in free):
        first = [Place(index, int(one.argmax())) for index, one in enumerate(free) if one.any()]
        best = max(first, key=lambda place: volumes[place.volume].scores[place.rank])
        volume = volumes[best.volume]
        free[best.volume] &= ~volume.near(volume.starts[best.rank], distance)
        places.append(best)
    return places


def _starts(length: int, edge: int) -> NDArray[np.int64]:
    last = length - edge
    step = max(1, edge // _PLACES_PER_EDGE)
    starts = {*range(0, last + 1, step), *range(0, last + 1, edge), last}
    return np.array(sorted(starts), np.int64)


def edges_text(size: Sequence[int]) -> str:
    """Return edges in voxels as 64x64x64."""
    return "x".join(map(str, size))

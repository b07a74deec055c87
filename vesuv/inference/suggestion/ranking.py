"""The best places of a volume: as many as a choice of boxes can need."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vesuv.inference.suggestion.places import DISTANCES, PlaceGrid, RankedPlaces, Scores


class PlaceRanking:
    """Bounded list of places, which the planes of a volume are added to from its first to its last.

    A box that is chosen closes the places near it, at most `PlaceGrid.most_near` of them. So the
    last of n boxes is among the best (n - 1) * most_near + 1 places, and no others are held: about
    30,000 for eight cubes.

    Args:
        grid: All places.
        number: Boxes that are chosen.
    """

    def __init__(self, grid: PlaceGrid, number: int) -> None:
        self.grid = grid
        self.capacity = (number - 1) * grid.most_near(max(DISTANCES)) + 1
        self._starts = np.zeros((0, 3), np.int64)
        self._scores, self._foreground = np.zeros(0), np.zeros(0)
        self._lowest = -math.inf

    def add_plane(self, position: int, scores: Scores, foreground: Scores) -> None:
        """Add the places of one first voxel along z.

        Args:
            position: Position of the plane in the grid.
            scores: (y, x); minus infinity: the place cannot be chosen.
            foreground: Mean probability of foreground, (y, x).
        """
        z, y, x = self.grid.starts
        rows, columns = np.nonzero(scores > self._lowest)
        starts = np.stack([np.full(len(rows), z[position]), y[rows], x[columns]], axis=1)
        self._starts = np.concatenate([self._starts, starts])
        self._scores = np.concatenate([self._scores, scores[rows, columns]])
        self._foreground = np.concatenate([self._foreground, foreground[rows, columns]])
        if len(self._scores) > 2 * self.capacity:
            self._keep(self._best())

    def result(self) -> RankedPlaces:
        """Return the best places of all planes."""
        self._keep(self._best())
        return RankedPlaces(self.grid.size, self._starts, self._scores, self._foreground)

    def _best(self) -> NDArray[np.intp]:
        return np.argsort(-self._scores, kind="stable")[: self.capacity]

    def _keep(self, order: NDArray[np.intp]) -> None:
        self._starts, self._scores = self._starts[order], self._scores[order]
        self._foreground = self._foreground[order]
        if len(order) == self.capacity:
            self._lowest = float(self._scores[-1])

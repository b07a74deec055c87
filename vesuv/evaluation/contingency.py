"""Contingency table of two segmentations: how many voxels each pair of segments shares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vesuv.types import Mask

_DENSE = 1 << 22
"""Pairs of segments up to which they are counted in a table of all possible ones."""
_MOST = np.iinfo(np.int64).max
"""Pairs of segments that have numbers."""


class Contingency(NamedTuple):
    """Pairs of segments that share voxels, each pair once."""

    predicted: NDArray[np.int64]
    """Segment of the prediction."""
    true: NDArray[np.int64]
    """Segment of the truth."""
    counts: NDArray[np.int64]
    """Number of common voxels, above 0."""

    @classmethod
    def of(
        cls,
        prediction: NDArray[np.integer],
        truth: NDArray[np.integer],
        valid: Mask | None = None,
    ) -> Contingency:
        """Count the voxels of two segmentations.

        Args:
            prediction: Name of the segment of each voxel, any shape, not negative.
            truth: The same, same shape.
            valid: Voxels to compare; None: all.
        """
        compared = np.ones(prediction.shape, bool) if valid is None else valid
        predicted, true = prediction[compared], truth[compared]
        if len(predicted) == 0:
            return cls(*(np.zeros(0, np.int64) for _ in range(3)))
        width = int(true.max()) + 1
        num_pairs = (int(predicted.max()) + 1) * width
        if num_pairs > _MOST:
            predicted_names, predicted = np.unique(predicted, return_inverse=True)
            true_names, true = np.unique(true, return_inverse=True)
            dense = cls.of(predicted, true)
            return cls(predicted_names[dense.predicted], true_names[dense.true], dense.counts)
        pairs = predicted.astype(np.int64) * width + true.astype(np.int64)
        if num_pairs <= _DENSE:
            table = np.bincount(pairs)
            names = np.flatnonzero(table)
            counts = table[names]
        else:
            names, counts = np.unique(pairs, return_counts=True)
        return cls(*np.divmod(names, width), counts)

    def with_predicted(self, names: NDArray[np.integer]) -> Contingency:
        """Return the table after segments of the prediction were united.

        Args:
            names: Name of the united segment of each segment of the prediction.
        """
        if len(self.counts) == 0:
            return self
        width = int(self.true.max()) + 1
        pairs = names[self.predicted].astype(np.int64) * width + self.true
        united, places = np.unique(pairs, return_inverse=True)
        counts = np.zeros(len(united), np.int64)
        np.add.at(counts, places, self.counts)
        return Contingency(*np.divmod(united, width), counts)

    @property
    def predicted_sizes(self) -> NDArray[np.int64]:
        """Number of compared voxels of each predicted segment."""
        return _sum_by(self.predicted, self.counts)

    @property
    def true_sizes(self) -> NDArray[np.int64]:
        """Number of compared voxels of each true segment."""
        return _sum_by(self.true, self.counts)


def _sum_by(names: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    unique, dense = np.unique(names, return_inverse=True)
    sums = np.zeros(len(unique), np.int64)
    np.add.at(sums, dense, counts)
    return sums

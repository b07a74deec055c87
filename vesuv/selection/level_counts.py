"""Voxels counted by the levels of their probabilities and by their class.

The voxels of several cases are counted by one list of distinct levels, so that those without a
part of the cases are a difference of counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vesuv.inference.levels import dequantise
from vesuv.selection.candidate_scores import Part

_CHUNK = 1 << 22  # voxels that are sorted together


@dataclass(frozen=True)
class LevelCounts:
    """Number of voxels by their levels and class.

    Args:
        levels: (k, n) uint8, see `vesuv.inference.levels`.
        classes: (n,) class, or 1 inside a region.
        voxels: (n,) number of voxels.
    """

    levels: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    voxels: NDArray[np.int64]

    @classmethod
    def of(cls, levels: NDArray[np.uint8], classes: NDArray[np.uint8]) -> LevelCounts:
        """Count the voxels of levels (k, voxels) and classes (voxels)."""
        rows = np.vstack([levels, classes[None]])
        parts = [
            _distinct_columns(rows[:, start : start + _CHUNK])
            for start in range(0, max(rows.shape[1], 1), _CHUNK)
        ]
        distinct = np.concatenate([part for part, _ in parts], axis=1)
        voxels = np.concatenate([counts for _, counts in parts])
        return cls(distinct[:-1], distinct[-1], voxels)

    @property
    def probs(self) -> Tensor:
        """Probabilities (k, n) that the levels stand for."""
        return dequantise(torch.from_numpy(self.levels)).double()


@dataclass(frozen=True)
class PooledCounts:
    """Voxels of several cases by their levels and class."""

    pooled: LevelCounts
    """All cases together; its columns are distinct."""
    cases: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]
    """Columns of each case, as indices into those of `pooled`, and its number of voxels."""

    @classmethod
    def of(cls, cases: Sequence[LevelCounts]) -> PooledCounts:
        """Pool the counts of one or more cases."""
        rows = np.concatenate([np.vstack([one.levels, one.classes[None]]) for one in cases], axis=1)
        voxels = np.concatenate([one.voxels for one in cases])
        distinct, indices = _column_indices(rows)
        totals = np.zeros(distinct.shape[1], np.int64)
        np.add.at(totals, indices, voxels)
        ends = np.cumsum([len(one.voxels) for one in cases])[:-1]
        by_case = zip(np.split(indices, ends), np.split(voxels, ends), strict=True)
        return cls(LevelCounts(distinct[:-1], distinct[-1], totals), tuple(by_case))

    def within(self, part: Part) -> LevelCounts:
        """Return the voxels of a part of the cases."""
        return self._counted(self._voxels(part))

    def without(self, part: Part) -> LevelCounts:
        """Return the voxels of all other cases."""
        return self._counted(self.pooled.voxels - self._voxels(part))

    def _voxels(self, part: Part) -> NDArray[np.int64]:
        voxels = np.zeros_like(self.pooled.voxels)
        for (indices, counts), is_in in zip(self.cases, part, strict=True):
            if is_in:
                np.add.at(voxels, indices, counts)
        return voxels

    def _counted(self, voxels: NDArray[np.int64]) -> LevelCounts:
        held = np.flatnonzero(voxels)
        return LevelCounts(self.pooled.levels[:, held], self.pooled.classes[held], voxels[held])


def _distinct_columns(
    rows: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the distinct columns of (r, n), and how often each occurs."""
    numbers = _numbers(rows)
    if numbers is None:
        return np.unique(rows, axis=1, return_counts=True)
    distinct, counts = np.unique(numbers, return_counts=True)
    return _columns(distinct, len(rows)), counts


def _column_indices(rows: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the distinct columns of (r, n), and the index of each column among them."""
    numbers = _numbers(rows)
    if numbers is None:
        distinct, indices = np.unique(rows, axis=1, return_inverse=True)
        return distinct, indices.reshape(-1)
    distinct_numbers, indices = np.unique(numbers, return_inverse=True)
    return _columns(distinct_numbers, len(rows)), indices


def _numbers(rows: NDArray[np.uint8]) -> NDArray[np.unsignedinteger] | None:
    """Return columns of up to 8 bytes as whole numbers, which sort many times as fast."""
    num_bytes = next((size for size in (2, 4, 8) if size >= len(rows)), None)
    if num_bytes is None:
        return None
    padded = np.zeros((rows.shape[1], num_bytes), np.uint8)
    padded[:, : len(rows)] = rows.T
    return padded.view(f"u{num_bytes}")[:, 0]


def _columns(numbers: NDArray[np.unsignedinteger], num_rows: int) -> NDArray[np.uint8]:
    """Return the columns (r, n) that whole numbers stand for."""
    return numbers[:, None].view(np.uint8).T[:num_rows]

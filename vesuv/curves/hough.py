"""The baseline: a Hough transform over (depth, amplitude, phase) of a network's probabilities.

A hypothesis is a sinusoid; its score is the mean probability of its kind along it. The best one is
taken, its pixels are erased, and the search goes on, until no hypothesis reaches the threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from vesuv.curves.geometry import Borehole, azimuth_of, column_angles
from vesuv.curves.picks import Pick

Probs = npt.NDArray[np.float32]
"""Probability of each kind, (kinds, rows, columns)."""


@dataclass(frozen=True)
class HoughSettings:
    """Grid and limits of the search."""

    threshold: float = 0.4
    """Smallest mean probability along a sinusoid."""
    max_dip: float = 75.0
    """Degrees."""
    amplitude_step: float = 2.0
    """Rows between two hypotheses."""
    phases: int = 24
    """Hypotheses around the hole."""
    column_step: int = 4
    """Every so many columns are read."""
    sigma: float = 1.0
    """Rows by which probabilities are blurred, so that a coarse grid meets thin lines."""
    erase: int = 3
    """Rows above and below a pick that are erased."""


@dataclass(frozen=True)
class _Hypotheses:
    """Amplitudes and phases, and their offsets in each column that is read, (n, columns)."""

    amplitudes: npt.NDArray[np.float64]
    phases: npt.NDArray[np.float64]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls, amplitudes: npt.ArrayLike, phases: npt.ArrayLike, angles: npt.NDArray[np.float64]
    ) -> _Hypotheses:
        a, p = (part.ravel() for part in np.meshgrid(amplitudes, phases, indexing="ij"))
        lines = a[:, None] * np.sin(angles + p[:, None])
        return cls(a, p, np.rint(lines).astype(np.int64))

    @property
    def reach(self) -> int:
        """Rows that a sinusoid extends above and below its depth."""
        return int(np.abs(self.offsets).max())

    def scores(self, probs: Probs, first: int, last: int) -> Probs:
        """Return the mean along each hypothesis at depths from `first` to before `last`.

        Args:
            probs: One kind, (rows, columns that are read); beside the log the probability is 0.
            first: First depth.
            last: Depth after the last one.
        """
        reach, num = self.reach, last - first
        low, high = first - reach, last + reach
        part = probs[max(low, 0) : max(high, 0)]
        above, below = max(-low, 0), max(high - len(probs), 0)
        part = np.pad(part, ((above, below), (0, 0)))
        total = np.zeros((len(self.offsets), num), dtype=np.float32)
        for column in range(probs.shape[1]):
            windows = np.lib.stride_tricks.sliding_window_view(part[:, column], num)
            total += windows[self.offsets[:, column] + reach]
        return np.asarray(total / probs.shape[1], dtype=np.float32)


def hough_picks(
    probs: Probs, hole: Borehole, settings: HoughSettings | None = None
) -> tuple[Pick, ...]:
    """Return the sinusoids in a network's probabilities, from the top down.

    Args:
        probs: Probability of each kind, (kinds, rows, columns); 0 and 1 for a mask.
        hole: Size of the hole and of its pixels.
        settings: Grid and limits.
    """
    settings = settings or HoughSettings()
    search = _Search(probs, hole, settings)
    return tuple(sorted(search.picks(), key=lambda pick: pick.row))


class _Search:
    """Greedy search; scores are computed anew only near a pick that was erased."""

    def __init__(self, probs: Probs, hole: Borehole, settings: HoughSettings) -> None:
        self.hole, self.settings = hole, settings
        self.probs = np.array(probs, dtype=np.float32)
        self.columns = np.arange(0, probs.shape[2], settings.column_step)
        self.angles = column_angles(probs.shape[2])
        amplitudes = np.arange(
            0.0, float(hole.amplitude(settings.max_dip)) + 1, settings.amplitude_step
        )
        phases = np.arange(settings.phases) * (2 * np.pi / settings.phases)
        self.grid = _Hypotheses.of(amplitudes, phases, self.angles[self.columns])
        shape = probs.shape[:2]
        self.best = np.zeros(shape, dtype=np.float32)
        self.best_index = np.zeros(shape, dtype=np.int64)
        self._update(0, shape[1])

    def picks(self) -> Iterator[Pick]:
        """Yield the best pick until none reaches the threshold."""
        num_rows = self.probs.shape[1]
        for _ in range(self.best.size):
            kind, row = np.unravel_index(int(self.best.argmax()), self.best.shape)
            if self.best[kind, row] <= 0:
                return
            pick = self._refined(int(kind), int(row))
            self._erase(pick)
            reach = 2 * self.grid.reach + self.settings.erase
            self._update(max(int(row) - reach, 0), min(int(row) + reach + 1, num_rows))
            if pick.score >= self.settings.threshold and 0 <= pick.row <= num_rows - 1:
                yield pick

    def _update(self, first: int, last: int) -> None:
        for kind in range(len(self.probs)):
            scores = self.grid.scores(self._blurred(kind, first, last), first, last)
            index = scores.argmax(axis=0)
            best = np.take_along_axis(scores, index[None], axis=0)[0]
            # Blurring lowers thin lines, so that weaker hypotheses are refined too.
            best[best < 0.5 * self.settings.threshold] = 0.0
            self.best[kind, first:last], self.best_index[kind, first:last] = best, index

    def _blurred(self, kind: int, first: int, last: int) -> Probs:
        """Return the columns that are read, blurred in depth; rows far from the range are 0."""
        margin = self.grid.reach + 4
        low, high = max(first - margin, 0), last + margin
        part = self.probs[kind, low:high, :][:, self.columns]
        blurred = np.zeros((self.probs.shape[1], len(self.columns)), dtype=np.float32)
        blurred[low:high] = ndimage.gaussian_filter1d(
            part, self.settings.sigma, axis=0, mode="constant"
        )
        return blurred

    def _refined(self, kind: int, row: int) -> Pick:
        """Search finely around a hypothesis of the grid, in all columns, and return the best."""
        index = self.best_index[kind, row]
        step, turn = self.settings.amplitude_step, np.pi / self.settings.phases
        centre = self.grid.amplitudes[index]
        fine = _Hypotheses.of(
            np.maximum(centre + np.linspace(-step, step, 9), 0.0),
            self.grid.phases[index] + np.linspace(-1.5 * turn, 1.5 * turn, 13),
            self.angles,
        )
        first, last = max(row - 3, 0), min(row + 4, self.probs.shape[1])
        scores = fine.scores(self._thickened(kind, first, last, fine.reach), first, last)
        # Lines are thick: the middle of the best hypotheses is taken.
        weight = np.where(scores >= 0.97 * scores.max(), scores, 0.0)
        weight /= max(float(weight.sum()), 1e-9)
        by_hypothesis = weight.sum(axis=1)
        amplitude = float((by_hypothesis * fine.amplitudes).sum())
        phase = float((by_hypothesis * fine.phases).sum())
        depth = float((weight.sum(axis=0) * np.arange(first, last)).sum())
        dip, azimuth = float(self.hole.dip(amplitude)), float(azimuth_of(phase))
        return Pick(depth, dip, azimuth, kind, min(float(scores.max()), 1.0))

    def _thickened(self, kind: int, first: int, last: int, reach: int) -> Probs:
        """Return the rows that hypotheses read, slightly blurred; all others are 0."""
        low, high = max(first - reach - 4, 0), last + reach + 4
        smooth = np.zeros(self.probs.shape[1:], dtype=np.float32)
        part = self.probs[kind, low:high]
        smooth[low:high] = np.maximum(part, ndimage.maximum_filter1d(part, 3, axis=0) * 0.9)
        return smooth

    def _erase(self, pick: Pick) -> None:
        """Erase a pick's pixels of every kind of its own."""
        columns = self.probs.shape[2]
        line = np.rint(self.hole.rows(pick.row, pick.dip, pick.azimuth, columns)).astype(np.int64)
        for shift in range(-self.settings.erase, self.settings.erase + 1):
            row = line + shift
            inside = (row >= 0) & (row < self.probs.shape[1])
            self.probs[pick.kind, row[inside], np.arange(columns)[inside]] = 0.0

"""Picks moved to the sinusoid nearby along which the drawn curves are strongest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vesuv.curves.geometry import Borehole, azimuth_of, column_angles, phase
from vesuv.curves.hough import Probs
from vesuv.curves.picks import Pick

_ROWS = np.arange(-4.0, 4.25, 0.5)
_AMPLITUDES = np.arange(-5.0, 5.5, 1.0)
_PHASES = np.radians(np.arange(-12.0, 13.0, 2.0))
_NEAR_BEST = 0.97
"""Lines are thick: the middle of the sinusoids with this share of the largest mean is taken."""


def refined(pick: Pick, curves: Probs, hole: Borehole) -> Pick:
    """Return the pick at the best sinusoid within 4 rows, 5 rows of amplitude and 12 degrees.

    Args:
        pick: A pick of the log.
        curves: Probability of the curves of each kind, (kinds, rows, columns).
        hole: The log's.
    """
    amplitudes, phases = (
        part.ravel()
        for part in np.meshgrid(
            np.maximum(hole.amplitude(pick.dip) + _AMPLITUDES, 0.0),
            phase(pick.azimuth) + _PHASES,
            indexing="ij",
        )
    )
    rows = pick.row + _ROWS
    angles = column_angles(curves.shape[2])
    lines = amplitudes[:, None] * np.sin(angles + phases[:, None])
    means = _means(curves[pick.kind], rows[:, None, None] + lines)
    if means.max() <= 0:
        return pick
    weights = np.where(means >= _NEAR_BEST * means.max(), means, 0.0)
    weights /= weights.sum()
    by_line = weights.sum(axis=0)
    return replace(
        pick,
        row=float(weights.sum(axis=1) @ rows),
        dip=float(hole.dip(by_line @ amplitudes)),
        azimuth=float(azimuth_of(by_line @ phases)),
    )


def _means(
    curves: npt.NDArray[np.float32], lines: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return means of a kind's curves (rows, columns) along lines (..., columns); 0 beside them."""
    below = np.floor(lines).astype(np.int64)
    share, columns, last = lines - below, np.arange(curves.shape[1]), len(curves) - 1
    total = np.zeros(lines.shape)
    for rows, weight in ((below, 1 - share), (below + 1, share)):
        inside = (rows >= 0) & (rows <= last)
        total += np.where(inside, weight * curves[np.clip(rows, 0, last), columns], 0.0)
    return np.asarray(total.mean(axis=-1))

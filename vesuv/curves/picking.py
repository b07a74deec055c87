"""Picks of whole logs: overlapping strips, each of which owns the rows that it is nearest to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch

from vesuv.curves.config import PickingConfig, StripsConfig
from vesuv.curves.detector import Detector, picks_of
from vesuv.curves.geometry import REFERENCE_HOLE, angle_difference
from vesuv.curves.logs import ImageLog
from vesuv.curves.picks import Pick, in_hole
from vesuv.curves.strips import cut_strip, normalised
from vesuv.runtime.machine import Machine
from vesuv.types import Progress, no_progress

_SAME_DIRECTION = 30.0
"""Degrees of azimuth within which two close picks are one."""
_FLAT = 5.0
"""Degrees of dip below which the azimuth tells little."""


@torch.no_grad()
def pick_log(
    detector: Detector,
    log: ImageLog,
    strips: StripsConfig,
    picking: PickingConfig,
    machine: Machine,
    *,
    lowest: float | None = None,
    progress: Progress = no_progress,
) -> tuple[Pick, ...]:
    """Return the picks of a log, from its top down.

    Args:
        detector: The network, in evaluation mode.
        log: The log.
        strips: Size of strips, and number in a batch.
        picking: Threshold, overlap and smallest distance.
        machine: Device and precision.
        lowest: Probability from which picks are returned, in place of the threshold.
        progress: Called with the number of finished strips.
    """
    lowest = picking.threshold if lowest is None else lowest
    image, rows = normalised(log), strips.rows
    starts = strip_starts(log.num_rows, rows, picking.overlap)
    edges = owned_edges(starts, rows)
    picks: list[Pick] = []
    for first in range(0, len(starts), strips.batch_size):
        part = starts[first : first + strips.batch_size]
        batch = torch.stack([cut_strip(image, (), start, rows).tensor() for start in part])
        queries = machine.forward(detector, batch.to(machine.device)).layers[-1]
        for index, start in enumerate(part):
            low, high = edges[first + index], edges[first + index + 1]
            for pick in picks_of(queries, index, rows, lowest):
                row = min(max(pick.row + start, 0.0), log.num_rows - 1.0)
                if low <= row < high:
                    seen = replace(pick, row=row)
                    picks.append(in_hole(seen, REFERENCE_HOLE, log.hole))
        progress(first + len(part), len(starts))
    return without_doubles(picks, picking.min_distance)


def strip_starts(num_rows: int, rows: int, overlap: float) -> list[int]:
    """Return the first rows of strips that cover a log; the last one ends with it."""
    step = max(1, round(rows * (1 - overlap)))
    last = max(num_rows - rows, 0)
    return [*range(0, last, step), last]


def owned_edges(starts: Sequence[int], rows: int) -> list[float]:
    """Return the rows between which each strip is the nearest one."""
    middles = [start + rows / 2 for start in starts]
    between = [(one + other) / 2 for one, other in pairwise(middles)]
    return [float("-inf"), *between, float("inf")]


def without_doubles(picks: Sequence[Pick], min_distance: float) -> tuple[Pick, ...]:
    """Drop the weaker of two picks of one kind and direction that are too close."""
    kept: list[Pick] = []
    for pick in sorted(picks, key=lambda pick: -pick.score):
        if not any(_is_double(pick, other, min_distance) for other in kept):
            kept.append(pick)
    return tuple(sorted(kept, key=lambda pick: pick.row))


def _is_double(pick: Pick, other: Pick, min_distance: float) -> bool:
    if pick.kind != other.kind or abs(pick.row - other.row) >= min_distance:
        return False
    is_flat = min(pick.dip, other.dip) < _FLAT
    return is_flat or bool(angle_difference(pick.azimuth, other.azimuth) <= _SAME_DIRECTION)

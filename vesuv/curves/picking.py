"""Picks of whole logs: overlapping strips, each of which owns the rows that it is nearest to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vesuv.curves.config import PickingConfig, StripsConfig
from vesuv.curves.detector import Detector, picks_of
from vesuv.curves.geometry import REFERENCE_HOLE, angle_difference
from vesuv.curves.hough import Probs
from vesuv.curves.logs import ImageLog, LogImage
from vesuv.curves.picks import Pick, in_hole
from vesuv.curves.refinement import refined
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
    parts: list[Probs] = []
    detected = _detected(detector, image, starts, strips, machine, lowest)
    for number, (strip_picks, curves) in enumerate(detected):
        start, (low, high) = starts[number], edges[number : number + 2]
        first, end = (round(min(max(edge, 0), log.num_rows)) - start for edge in (low, high))
        parts.append(curves[:, first:end])
        moved = (_in_log(replace(pick, row=pick.row + start), log) for pick in strip_picks)
        picks += [in_hole(p, REFERENCE_HOLE, log.hole) for p in moved if low <= p.row < high]
        progress(number + 1, len(starts))
    if picking.refine:
        of_log = np.concatenate(parts, axis=1)
        picks = [_in_log(refined(pick, of_log, log.hole), log) for pick in picks]
    return without_doubles(picks, picking.min_distance)


def _detected(
    detector: Detector,
    image: LogImage,
    starts: Sequence[int],
    strips: StripsConfig,
    machine: Machine,
    lowest: float,
) -> Iterator[tuple[list[Pick], Probs]]:
    """Yield the picks of each strip, rows from its top, and its curves."""
    rows = strips.rows
    for first in range(0, len(starts), strips.batch_size):
        part = starts[first : first + strips.batch_size]
        batch = torch.stack([cut_strip(image, (), start, rows).tensor() for start in part])
        detection = machine.forward(detector, batch.to(machine.device))
        curves = strip_curves(detection.masks, rows)
        for index in range(len(part)):
            yield picks_of(detection.layers[-1], index, rows, lowest), curves[index]


def _in_log(pick: Pick, log: ImageLog) -> Pick:
    return replace(pick, row=min(max(pick.row, 0.0), log.num_rows - 1.0))


def strip_curves(masks: Tensor, rows: int) -> Probs:
    """Return probabilities of curves in each row of strips, (b, kinds, rows, columns).

    Args:
        masks: Logits of the features, (b, kinds, rows / stride, columns); the first row of features
            lies at the strip's.
        rows: Rows of a strip.
    """
    probs = masks.float().sigmoid()
    num, columns = probs.shape[-2:]
    down = rows // num
    size = ((num - 1) * down + 1, columns)
    dense = F.interpolate(probs, size, mode="bilinear", align_corners=True)
    dense = F.pad(dense, (0, 0, 0, rows - size[0]), mode="replicate")
    return np.asarray(dense.cpu().numpy(), dtype=np.float32)


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

"""Histograms of a network's probabilities on fixed tiles, and the location of its errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.diagnosis.thresholds import best_threshold
from vesuv.runs.fields import BINS
from vesuv.runs.observation import ErrorCounts, Histogram


@dataclass(frozen=True)
class TileProbabilities:
    """One tile's label and predicted probabilities, on the host."""

    bins: Tensor
    """Foreground probability in hundredths, rounded down, (z, y, x) uint8."""
    label: Tensor
    """(z, y, x)."""


def probability_bins(foreground: Tensor) -> Tensor:
    """Return foreground probabilities in hundredths, rounded down, uint8 on the CPU."""
    return (foreground.nan_to_num() * BINS).clamp_(0, BINS - 1).to(torch.uint8).cpu()


def histogram(tiles: Iterable[TileProbabilities]) -> Histogram:
    """Count the valid voxels by probability, separately for foreground and background."""
    counts = torch.zeros((2, BINS), dtype=torch.int64)
    for tile in tiles:
        foreground = (tile.label > 0) & (tile.label != IGNORE)
        background = tile.label == 0
        for row, mask in enumerate((foreground, background)):
            counts[row] += torch.bincount(tile.bins[mask].to(torch.int64), minlength=BINS)
    return Histogram(foreground=tuple(counts[0].tolist()), background=tuple(counts[1].tolist()))


def errors(tiles: Sequence[TileProbabilities], counts: Histogram) -> ErrorCounts:
    """Count wrong voxels beside foreground of the other mask, and all other wrong voxels.

    The threshold is the one with the best Dice: at a fixed one, a mask that is too thick or too
    thin everywhere would look like a shifted boundary.

    Args:
        tiles: The tiles.
        counts: Their histogram.
    """
    threshold_bin = round(best_threshold(counts).threshold * BINS)
    true_positives = num_near = num_far = 0
    for tile in tiles:
        valid = tile.label != IGNORE
        labelled = (tile.label > 0) & valid
        predicted = (tile.bins >= threshold_bin) & valid
        true_positives += int((labelled & predicted).sum())
        error_mask = labelled ^ predicted
        # A false positive beside labelled foreground, a false negative beside predicted foreground.
        at_boundary = error_mask & torch.where(labelled, _dilate(predicted), _dilate(labelled))
        num_near += int(at_boundary.sum())
        num_far += int((error_mask & ~at_boundary).sum())
    return ErrorCounts(right=true_positives, near=num_near, far=num_far)


def _dilate(mask: Tensor) -> Tensor:
    dilated: Tensor = F.max_pool3d(mask[None, None].float(), 3, stride=1, padding=1)[0, 0] > 0
    return dilated

"""What a network's probabilities on fixed tiles say: histograms, and where the errors lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.diagnosis.thresholds import best_cut
from vesuv.runs.records import BINS, ErrorCounts, Histogram


@dataclass(frozen=True)
class TileProbabilities:
    """One tile's label and predicted probabilities, on the host."""

    bins: Tensor
    """Probability of foreground in hundredths, rounded down, (z, y, x) uint8."""
    label: Tensor
    """(z, y, x)."""


def probability_bins(foreground: Tensor) -> Tensor:
    """Return probabilities of foreground in hundredths, rounded down, uint8 on the host."""
    return (foreground.nan_to_num() * BINS).clamp_(0, BINS - 1).to(torch.uint8).cpu()


def histogram(tiles: Iterable[TileProbabilities]) -> Histogram:
    """Count the judged voxels by probability, of each label apart."""
    counts = torch.zeros((2, BINS), dtype=torch.int64)
    for tile in tiles:
        foreground = (tile.label > 0) & (tile.label != IGNORE)
        background = tile.label == 0
        for row, mask in enumerate((foreground, background)):
            counts[row] += torch.bincount(tile.bins[mask].to(torch.int64), minlength=BINS)
    return Histogram(foreground=tuple(counts[0].tolist()), background=tuple(counts[1].tolist()))


def errors(tiles: Sequence[TileProbabilities], counts: Histogram) -> ErrorCounts:
    """Tell wrong voxels next to foreground of the other side from the rest.

    Taken at the threshold with the best Dice, so that a mask that is too fat or too thin as a whole
    is not mistaken for a boundary that is drawn elsewhere.

    Args:
        tiles: The tiles.
        counts: Their histogram.
    """
    cut = round(best_cut(counts).threshold * BINS)
    right = near = far = 0
    for tile in tiles:
        judged = tile.label != IGNORE
        labelled = (tile.label > 0) & judged
        predicted = (tile.bins >= cut) & judged
        right += int((labelled & predicted).sum())
        wrong = labelled ^ predicted
        # A false voxel beside labelled foreground, or a missed one beside predicted foreground.
        beside = wrong & torch.where(labelled, _grown(predicted), _grown(labelled))
        near += int(beside.sum())
        far += int((wrong & ~beside).sum())
    return ErrorCounts(right=right, near=near, far=far)


def _grown(mask: Tensor) -> Tensor:
    grown: Tensor = F.max_pool3d(mask[None, None].float(), 3, stride=1, padding=1)[0, 0] > 0
    return grown

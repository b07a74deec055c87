"""Predicted foreground at each threshold.

A threshold is exact: a voxel is foreground where its float32 probability is at least the threshold
rounded to float32, which is what comparing a tensor with a number does when masks are made. All
thresholds are counted in one pass over the probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vesuv.evaluation.overlap import Overlap, confusion, scores

NUM_BINS = 50
"""Bins of the probability histogram over [0, 1]."""

_CHUNK = 1 << 20
"""Voxels counted at once, so that they stay in the cache over all thresholds."""


@dataclass(frozen=True)
class Curve:
    """Confusion counts of one volume, or of a sum of volumes, at each threshold."""

    thresholds: tuple[float | None, ...]
    """None for several classes: the likeliest class is predicted, there is nothing to cut."""
    matrices: Tensor
    """(threshold, C, C), int64: row by label, column by prediction."""
    histogram: Tensor
    """Judged voxels by foreground probability, (2, NUM_BINS): labelled background, foreground."""

    def __add__(self, other: Curve) -> Curve:
        """Pool two volumes."""
        assert self.thresholds == other.thresholds
        return Curve(
            self.thresholds, self.matrices + other.matrices, self.histogram + other.histogram
        )

    def overlaps(self) -> list[Overlap]:
        """Return the scores at each threshold."""
        return [scores(matrix) for matrix in self.matrices]


def threshold_curve(
    probs: Tensor, label: Tensor, valid: Tensor, thresholds: Sequence[float], num_classes: int
) -> Curve:
    """Count a volume at every threshold in one pass.

    Args:
        probs: (1, z, y, x) foreground probability, or (C, z, y, x) a class each.
        label: Class index (z, y, x).
        valid: False where the voxel is not judged.
        thresholds: Cuts for one channel of probabilities; not used for several.
        num_classes: C, background counted.
    """
    if probs.shape[0] == 1:
        assert num_classes == 2
        cuts: tuple[float | None, ...] = tuple(sorted(set(thresholds)))
        matrices = _binary_counts(probs[0], label, valid, sorted(set(thresholds)))
        foreground = probs[0]
    else:
        cuts = (None,)
        matrices = confusion(probs.argmax(dim=0), label, valid, num_classes)[None]
        foreground = 1.0 - probs[0]
    return Curve(cuts, matrices, _histogram(foreground, label, valid))


def _binary_counts(probs: Tensor, label: Tensor, valid: Tensor, thresholds: list[float]) -> Tensor:
    """Confusion matrices (threshold, 2, 2) of one channel of probabilities."""
    num = len(thresholds) + 1
    cell_type = torch.uint8 if 2 * num < 256 else torch.int16
    counts = torch.zeros(2 * num + 1, dtype=torch.int64)
    for p, y, v in _chunks(probs, label, valid):
        cell = (y > 0).to(cell_type) * num  # and then the number of thresholds that p reaches
        for threshold in thresholds:
            cell += p >= threshold
        counts += torch.bincount(cell.masked_fill_(~v, 2 * num), minlength=2 * num + 1)
    by_label = counts[:-1].reshape(2, num)
    above = by_label.flip(1).cumsum(1).flip(1)[:, 1:]  # (label, threshold): voxels at or above it
    below = by_label.sum(dim=1, keepdim=True) - above
    return torch.stack([below, above], dim=-1).permute(1, 0, 2).contiguous()


def _histogram(foreground: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    counts = torch.zeros(2 * NUM_BINS + 1, dtype=torch.int64)
    for p, y, v in _chunks(foreground, label, valid):
        cell = (p * NUM_BINS).to(torch.uint8).clamp_(max=NUM_BINS - 1)
        cell += (y > 0).to(torch.uint8) * NUM_BINS
        counts += torch.bincount(cell.masked_fill_(~v, 2 * NUM_BINS), minlength=2 * NUM_BINS + 1)
    return counts[:-1].reshape(2, NUM_BINS)


def _chunks(probs: Tensor, label: Tensor, valid: Tensor) -> zip[tuple[Tensor, Tensor, Tensor]]:
    flat = (torch.split(part.reshape(-1), _CHUNK) for part in (probs, label, valid))
    return zip(*flat, strict=True)

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

from vesuv.data.labels import IGNORE
from vesuv.evaluation.overlap import Overlap, confusion, one_against_rest, scores

NUM_BINS = 50
"""Bins of the probability histogram over [0, 1]."""

_CELL_TYPES = (torch.uint8, torch.int16, torch.int32)
_CHUNK = 1 << 20
"""Voxels counted at once, so that they stay in the cache over all thresholds."""


@dataclass(frozen=True)
class Curve:
    """Confusion counts of one volume, or of a sum of volumes, at each threshold."""

    thresholds: tuple[float | None, ...]
    """One None where the likeliest class is predicted."""
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
    score: Tensor, label: Tensor, valid: Tensor, thresholds: Sequence[float]
) -> Curve:
    """Count a volume of one foreground class at every threshold in one pass.

    Args:
        score: Foreground probability (z, y, x).
        label: 0 or 1, any value where not valid (z, y, x).
        valid: False where the voxel is not judged.
        thresholds: Cuts, in any order.
    """
    cuts = sorted(set(thresholds))
    step = Step(score, torch.zeros_like(label), 1)
    matrices = step_matrices(step, label, valid, cuts, num_classes=2)
    return Curve(tuple(cuts), matrices, _histogram(score, label > 0, valid))


def likeliest_curve(foreground: Tensor, classes: Tensor, label: Tensor, num_classes: int) -> Curve:
    """Count a volume of several classes, of which the likeliest is predicted.

    Args:
        foreground: Probability of any foreground class (z, y, x).
        classes: Predicted class index (z, y, x).
        label: Class index, `IGNORE` where not judged (z, y, x).
        num_classes: C, background counted.
    """
    valid = label != IGNORE
    matrices = confusion(classes, label, valid, num_classes)[None]
    return Curve((None,), matrices, _histogram(foreground, label > 0, valid))


def target_curve(
    score: Tensor, label: Tensor, matrices: Tensor, members: Sequence[int], cuts: Sequence[float]
) -> Curve:
    """Return the curve of one of several classes or regions against all others.

    Args:
        score: Its score (z, y, x).
        label: Class index, `IGNORE` where not judged (z, y, x).
        matrices: Result of `step_matrices` at the cuts, ascending.
        members: Its class indices.
        cuts: Thresholds of its score, ascending.
    """
    inside = torch.isin(label, torch.tensor(list(members), dtype=label.dtype))
    against_rest = torch.stack([one_against_rest(matrix, members) for matrix in matrices])
    histogram = _histogram(score.clamp(0.0, 1.0), inside, label != IGNORE)
    return Curve(tuple(cuts), against_rest, histogram)


@dataclass(frozen=True)
class Step:
    """A prediction in which one class replaces others where its score reaches a threshold."""

    score: Tensor
    """(z, y, x); below 0 where the class never replaces."""
    below: Tensor
    """Class index where the score is below the threshold, (z, y, x)."""
    above: int
    """Class index elsewhere."""
    rival: Tensor | None = None
    """(z, y, x); where given, the score multiplied by a threshold's weight has to reach it."""
    weights: Sequence[float] = ()
    """Weight of each threshold, where `rival` is given."""


def step_matrices(
    step: Step, label: Tensor, valid: Tensor, thresholds: Sequence[float], num_classes: int
) -> Tensor:
    """Return the confusion matrices (threshold, C, C) at ascending thresholds, in one pass."""
    num = len(thresholds) + 1
    pairs = num_classes * num_classes
    cell_type = next(kind for kind in _CELL_TYPES if pairs * num < torch.iinfo(kind).max)
    counts = torch.zeros(pairs * num + 1, dtype=torch.int64)
    rival = step.score if step.rival is None else step.rival
    for s, r, w, y, v in _chunks(step.score, rival, step.below, label, valid):
        judged = torch.where(v, y, 0).to(cell_type)
        cell = (judged * num_classes + w.to(cell_type)) * num
        if step.rival is None:  # add the number of thresholds that the score reaches
            for threshold in thresholds:
                cell += s >= threshold
        else:
            for weight in step.weights:
                cell += s * weight >= r
        counts += torch.bincount(cell.masked_fill_(~v, pairs * num), minlength=pairs * num + 1)
    by_pair = counts[:-1].reshape(num_classes, num_classes, num)
    above = by_pair.flip(2).cumsum(2).flip(2)[:, :, 1:]  # voxels that reach each threshold
    matrices = by_pair.sum(dim=2, keepdim=True) - above
    matrices[:, step.above] += above.sum(dim=1)
    return matrices.permute(2, 0, 1).contiguous()


def _histogram(score: Tensor, foreground: Tensor, valid: Tensor) -> Tensor:
    counts = torch.zeros(2 * NUM_BINS + 1, dtype=torch.int64)
    for p, y, v in _chunks(score, foreground, valid):
        cell = (p * NUM_BINS).to(torch.uint8).clamp_(max=NUM_BINS - 1)
        cell += y.to(torch.uint8) * NUM_BINS
        counts += torch.bincount(cell.masked_fill_(~v, 2 * NUM_BINS), minlength=2 * NUM_BINS + 1)
    return counts[:-1].reshape(2, NUM_BINS)


def _chunks(*volumes: Tensor) -> zip[tuple[Tensor, ...]]:
    return zip(*(torch.split(part.reshape(-1), _CHUNK) for part in volumes), strict=True)

"""Overlap of a prediction with a label, from one confusion matrix over the judged voxels.

Everything is counted once, as integers; scores of several patches or volumes are the scores of the
sum of their matrices, so that a pooled score does not depend on how the voxels were cut up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Overlap:
    """Scores in [0, 1]; NaN where no voxel was judged.

    With two classes they are the foreground's. With more, dice, iou, precision, recall and f1 are
    means over those foreground classes, or regions, that the label or the prediction holds.

    A class missing from both sides scores 1 (two classes) or is left out of the mean (more). A
    class on one side only scores 0 everywhere, so that predicting nothing is never rewarded with
    a perfect precision, nor predicting anything on an empty label with a perfect recall.
    """

    dice: float
    iou: float
    precision: float
    recall: float
    f1: float
    accuracy: float
    predicted_fraction: float
    """Share of judged voxels that are predicted as any foreground class."""
    labelled_fraction: float
    """Share of judged voxels that are labelled as any foreground class."""

    def as_dict(self) -> dict[str, float]:
        """Return the scores by name, in the order in which tables show them."""
        return dict(vars(self))


def confusion(prediction: Tensor, label: Tensor, valid: Tensor, num_classes: int) -> Tensor:
    """Count voxels by class of label and prediction, without waiting for the device.

    Args:
        prediction: Class index, any shape.
        label: Class index, same shape; any value where `valid` is False.
        valid: False where the voxel is not judged.
        num_classes: C, background counted.

    Returns:
        Counts (C, C) as int64 on the arguments' device: row by label, column by prediction.
    """
    unjudged = num_classes * num_classes
    # One byte a voxel while the cells fit in it: this runs over whole volumes.
    cell_type = torch.uint8 if unjudged < 256 else torch.int32
    judged = torch.where(valid, label, 0).to(cell_type)
    cell = (judged * num_classes + prediction.to(cell_type)).masked_fill_(~valid, unjudged)
    if cell.device.type == "cpu":
        counts = torch.bincount(cell.reshape(-1), minlength=unjudged + 1)[:unjudged]
    else:  # bincount would fetch the largest value to the host first
        counts = torch.stack([torch.count_nonzero(cell == index) for index in range(unjudged)])
    return counts.reshape(num_classes, num_classes)


def scores(matrix: Tensor, members: Sequence[Sequence[int]] | None = None) -> Overlap:
    """Return the scores of a confusion matrix, or of a sum of them.

    Args:
        matrix: Counts (C, C) from `confusion`; fetched to the host here.
        members: Class indices of each target; None: every foreground class is one.
    """
    return count_scores(matrix.tolist(), members)


def count_scores(
    counts: Sequence[Sequence[int]], members: Sequence[Sequence[int]] | None = None
) -> Overlap:
    """Return `scores` of a confusion matrix as numbers: row by label, column by prediction."""
    num_classes = len(counts)
    total = sum(map(sum, counts))
    if total == 0:
        return Overlap(*[math.nan] * 8)
    labelled = [sum(row) for row in counts]
    predicted = [sum(column) for column in zip(*counts, strict=True)]
    per_class = []
    for target in [(k,) for k in range(1, num_classes)] if members is None else members:
        both = sum(counts[row][column] for row in target for column in target)
        sums = sum(predicted[k] for k in target), sum(labelled[k] for k in target)
        if sum(sums) > 0:
            per_class.append(_class_scores(both, *sums))
    if not per_class:
        per_class = [(1.0, 1.0, 1.0, 1.0)]
    dice, iou, precision, recall = (
        math.fsum(score) / len(per_class) for score in zip(*per_class, strict=True)
    )
    return Overlap(
        dice=dice,
        iou=iou,
        precision=precision,
        recall=recall,
        f1=dice,  # the harmonic mean of a class's precision and recall is its Dice
        accuracy=sum(counts[k][k] for k in range(num_classes)) / total,
        predicted_fraction=(total - predicted[0]) / total,
        labelled_fraction=(total - labelled[0]) / total,
    )


def _class_scores(both: int, predicted: int, labelled: int) -> tuple[float, float, float, float]:
    """Dice, IoU, precision and recall of a class that at least one side holds."""
    return (
        2 * both / (predicted + labelled),
        both / (predicted + labelled - both),
        both / predicted if predicted else 0.0,
        both / labelled if labelled else 0.0,
    )


def one_against_rest(matrix: Tensor, indices: Sequence[int]) -> Tensor:
    """Reduce a confusion matrix (C, C) to some classes together against all others, (2, 2)."""
    chosen = torch.tensor(list(indices), device=matrix.device)
    both = matrix[chosen][:, chosen].sum()
    missed = matrix[chosen].sum() - both
    false = matrix[:, chosen].sum() - both
    return torch.stack([matrix.sum() - both - missed - false, false, missed, both]).reshape(2, 2)

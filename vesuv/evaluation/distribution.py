"""How much a network predicts at each threshold, and which checkpoint and threshold to use.

A threshold is exact: a voxel is foreground where its float32 probability is at least the threshold
rounded to float32, which is what comparing a tensor with a number does when masks are made. All
thresholds are counted in one pass over the probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vesuv.config.training import SelectionConfig
from vesuv.evaluation.overlap import Overlap, confusion, scores

NUM_BINS = 50
"""Bins of the probability histogram over [0, 1]."""

_CHUNK = 1 << 20  # voxels counted at once, so that they stay in the cache over all thresholds


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
        chosen: tuple[float | None, ...] = tuple(sorted(set(thresholds)))
        matrices = _binary_counts(probs[0], label, valid, sorted(set(thresholds)))
        foreground = probs[0]
    else:
        chosen = (None,)
        matrices = confusion(probs.argmax(dim=0), label, valid, num_classes)[None]
        foreground = 1.0 - probs[0]
    return Curve(chosen, matrices, _histogram(foreground, label, valid))


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


@dataclass(frozen=True)
class Choice:
    """One checkpoint at one threshold, over the validation cases."""

    checkpoint: str
    threshold: float | None
    gap: float
    """Mean over cases of |predicted - labelled| foreground fraction."""
    dice: float
    """Mean over cases."""
    predicted_fraction: float
    """Over the judged voxels of all cases together."""
    labelled_fraction: float

    def __str__(self) -> str:
        """Name it the way a sentence does."""
        if self.threshold is None:
            return self.checkpoint
        return f"{self.checkpoint} at threshold {self.threshold:g}"


def choices(checkpoint: str, curves: Sequence[Curve]) -> list[Choice]:
    """Return a choice for each threshold from the curves of all cases with a judged voxel."""
    judged = [curve for curve in curves if int(curve.matrices[0].sum()) > 0]
    pooled = sum(judged[1:], start=judged[0])
    by_case = [curve.overlaps() for curve in judged]
    found = []
    for index, overall in enumerate(pooled.overlaps()):
        cases = [overlaps[index] for overlaps in by_case]
        gaps = [abs(case.predicted_fraction - case.labelled_fraction) for case in cases]
        found.append(
            Choice(
                checkpoint,
                pooled.thresholds[index],
                gap=math.fsum(gaps) / len(cases),
                dice=math.fsum(case.dice for case in cases) / len(cases),
                predicted_fraction=overall.predicted_fraction,
                labelled_fraction=overall.labelled_fraction,
            )
        )
    return found


def select(candidates: Sequence[Choice], config: SelectionConfig) -> tuple[Choice, str]:
    """Pick the choice whose foreground fractions match the labels, the best Dice among those.

    1. With `band`, only choices whose predicted fraction lies in it compete; when none does, those
       nearest to it.
    2. Of these, the ones with a gap of at most `tolerance` are ranked by Dice. When there is none,
       the smallest gap wins.
    3. Ties go to the better other measure, then to the threshold nearest one half, then to the
       checkpoint named first.

    Returns:
        The choice, and why in a sentence.
    """
    in_band, band_note = _within_band(candidates, config)
    close = [choice for choice in in_band if choice.gap <= config.tolerance]

    def middle(choice: Choice) -> float:
        return 0.0 if choice.threshold is None else abs(choice.threshold - 0.5)

    if close:
        best = min(close, key=lambda choice: (-choice.dice, choice.gap, middle(choice)))
        rule = (
            f"the highest Dice, {best.dice:.4f}, of the choices "
            f"({len(close)} of {len(candidates)}) whose foreground fraction is off by at most "
            f"{config.tolerance:.2%} a case"
        )
    else:
        best = min(in_band, key=lambda choice: (choice.gap, -choice.dice, middle(choice)))
        rule = (
            f"the smallest error of the foreground fraction among {len(in_band)} choices; none is "
            f"within the tolerance of {config.tolerance:.2%} a case; its Dice is {best.dice:.4f}"
        )
    why = (
        f"{best}: {rule}. It predicts {best.predicted_fraction:.2%} foreground, labels hold "
        f"{best.labelled_fraction:.2%}, off by {best.gap:.2%} a case.{band_note}"
    )
    return best, why


def _within_band(candidates: Sequence[Choice], config: SelectionConfig) -> tuple[list[Choice], str]:
    """Keep the choices inside the band, or those nearest to it, and say which."""
    if config.band is None:
        return list(candidates), ""
    low, high = config.band

    def outside(choice: Choice) -> float:
        return max(low - choice.predicted_fraction, choice.predicted_fraction - high, 0.0)

    least = min(outside(choice) for choice in candidates)
    kept = [choice for choice in candidates if outside(choice) == least]
    band = f"{low:.2%} to {high:.2%}"
    if least > 0.0:
        return kept, f" No choice predicts within the band of {band}; this one comes nearest."
    return kept, f" Choices within the band of {band}: {len(kept)} of {len(candidates)}."

"""Soft Dice."""

from __future__ import annotations

import torch
from torch import Tensor

from vesuv.losses.overlap import OverlapLoss
from vesuv.losses.prediction import Prediction, ratio


class Dice(OverlapLoss):
    """1 - (2 sum(p y) + s) / (sum(p) + sum(y) + s), the mean over foreground classes.

    Range [0, 1]; perfect mask 0; a constant prediction c on foreground share f scores
    1 - 2 c f / (c + f); without valid voxels 0.

    Source:
        Milletari et al. 2016, V-Net, section 3, without squares in the denominator.
    """

    def sums(self, prediction: Prediction) -> Tensor:
        return torch.stack([prediction.overlap, prediction.probs_sum + prediction.num_labelled])

    def score(self, sums: Tensor) -> Tensor:
        overlap, total = sums
        return ratio(2 * overlap + self.smooth, total + self.smooth, empty=1.0)

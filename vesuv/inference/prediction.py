"""What is predicted for an image that is in memory."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vesuv.data.statistics import CaseStatistics
from vesuv.inference.domain_shift import DomainShift


@dataclass(frozen=True)
class Prediction:
    """What was predicted for an image, on the image's own grid.

    Args:
        probs: Probabilities (k, z, y, x), see `Predictor.predict`.
        shifts: How the image differs from the training cases.
        num_views: Number of views that were averaged for each network.
        statistics: Intensities of the image at the networks' spacing.
        uncertainty: Result of `Predictor.uncertainty`; None where it was not asked for.
    """

    probs: Tensor
    shifts: list[DomainShift]
    num_views: tuple[int, ...]
    statistics: CaseStatistics
    uncertainty: Tensor | None = None

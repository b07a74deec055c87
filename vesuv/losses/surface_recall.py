"""Recall of the label's medial surface."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from vesuv.losses.medial_surface import medial_surface
from vesuv.losses.prediction import Loss, Prediction, ratio
from vesuv.losses.skeleton import dilate

SUM_DIMS = (0, 2, 3, 4)


class SurfaceRecall(Loss):
    """1 - sum(T p) / sum(T), T the label's medial surface, dilated by one voxel, within the label.

    Each part of a sheet has the same weight, no matter how thick it is labelled, and a missed patch
    of a sheet costs its area. Sums run over the batch; the mean over foreground classes. Range
    [0, 1]; perfect mask 0; constant prediction c: 1 - c; 0 without foreground. A prediction that is
    foreground everywhere scores 0: combine it with a loss that counts false foreground. Structures
    thicker than 29 voxels have no medial surface here, nor have those whose other side is ignored.

    Source:
        Kirchhoff et al. 2024, Skeleton Recall Loss for Connectivity Conserving and Resource
        Efficient Segmentation of Thin Tubular Structures, with a surface in place of the skeleton.
    """

    uses_global_sums: ClassVar[bool] = True

    @property
    def limits(self) -> tuple[float, float]:
        return 0.0, 1.0

    def of(self, prediction: Prediction) -> Tensor:
        surface = dilate(medial_surface(prediction.target, prediction.valid), 1) & prediction.target
        recalled = prediction.global_sum((prediction.probs * surface).sum(dim=SUM_DIMS))
        total = prediction.global_sum(surface.sum(dim=SUM_DIMS).to(recalled.dtype))
        return (1 - ratio(recalled, total, empty=1.0)).mean()

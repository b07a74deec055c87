"""What losses of sums over patches have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from vesuv.losses.prediction import Loss, Prediction


class OverlapLoss(Loss):
    """1 - a score of sums over voxels, the mean over foreground classes; range [0, 1]."""

    uses_global_sums: ClassVar[bool] = True
    smooth: float = Field(default=1e-5, ge=0.0)
    """The smoothing term s."""
    batch: bool = True
    """Sum over the whole batch, so that patches without foreground have a gradient too; false: the
    mean of one value for each patch with valid voxels."""

    @property
    def limits(self) -> tuple[float, float]:
        return 0.0, 1.0

    @abstractmethod
    def sums(self, prediction: Prediction) -> Tensor:
        """Return the sums (n, b, k) over the voxels of each patch and class."""

    @abstractmethod
    def score(self, sums: Tensor) -> Tensor:
        """Return the score of sums (n, ...), in their last dimensions."""

    def of(self, prediction: Prediction) -> Tensor:
        sums = self.sums(prediction)
        if self.batch:
            return (1 - self.score(prediction.global_sum(sums.sum(dim=1)))).mean()
        of_patches = (1 - self.score(sums)).mean(dim=1, keepdim=True)
        return prediction.mean_where(of_patches, prediction.num_valid > 0)

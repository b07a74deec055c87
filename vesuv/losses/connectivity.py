"""Difference of max-pooled prediction and label."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from vesuv.losses.prediction import Loss, Prediction


class Connectivity(Loss):
    """Mean squared difference of max-pooled p and max-pooled y over valid voxels.

    Ignored voxels are left out of the pooling. The mean over foreground classes. Range [0, 1];
    perfect mask 0; constant prediction c at share g of voxels near foreground:
    g (1 - c)**2 + (1 - g) c**2; without valid voxels 0.

    Source:
        The fifth term of the training diary's compound loss.
    """

    uses_global_sums: ClassVar[bool] = True
    kernel_size: Literal[3, 5, 7] = 3
    """Edge of the max-pooling window in voxels."""

    @property
    def limits(self) -> tuple[float, float]:
        return 0.0, 1.0

    def of(self, prediction: Prediction) -> Tensor:
        pooled_probs = self._max_pool(prediction.probs)
        pooled_target = self._max_pool(prediction.target.to(pooled_probs.dtype))
        error = (pooled_probs - pooled_target).square() * prediction.valid
        num_voxels = prediction.total_valid.clamp_min(1)
        return prediction.global_sum(error.sum()) / (num_voxels * pooled_probs.shape[1])

    def _max_pool(self, values: Tensor) -> Tensor:
        return F.max_pool3d(values, self.kernel_size, stride=1, padding=self.kernel_size // 2)

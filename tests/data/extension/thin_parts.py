"""A package beside vesuv that brings one thing of each kind: the example of the documents."""

from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from vesuv.config.model import NetworkConfig
from vesuv.config.postprocess import Step
from vesuv.diagnosis import Evidence, Finding
from vesuv.losses import Loss, Prediction
from vesuv.types import Array, Mask, Shape, Spacing


class Volume(Loss):
    """Squared error of the predicted volume, as a share of the judged voxels."""

    limits: ClassVar[tuple[float, float]] = (0.0, 10.0)
    constant_score: ClassVar[float | None] = None
    factor: float = Field(default=1.0, gt=0.0)
    """What the error is multiplied by."""

    def perfect_score(self, _share: float) -> float:
        return 0.0

    def of(self, prediction: Prediction) -> Tensor:
        error = (prediction.probs_sum - prediction.num_labelled) / prediction.num_valid.clamp_min(1)
        return self.factor * error.square().mean()


class TwoLayers(NetworkConfig):
    """Two convolutions."""

    name: Literal["two_layers"] = "two_layers"
    width: int = 4
    """Channels between them."""

    @property
    def halvings(self) -> Shape:
        return 1, 1, 1

    def build(self) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv3d(self.in_channels, self.width, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(self.width, self.out_channels, 1),
        )


class Crop(Step):
    """Clear the voxels near the border, where masks are least certain."""

    name: Literal["crop"] = "crop"
    voxels: int = Field(default=1, ge=0)
    """Distance from the border."""

    def __call__(self, volume: Array, _spacing: Spacing) -> Mask:
        inside = np.zeros(volume.shape, bool)
        inside[(slice(self.voxels, -self.voxels or None),) * 3] = True
        return volume.astype(bool) & inside

    def halo(self, _spacing: Spacing) -> Shape:
        return (self.voxels,) * 3


def short_run(evidence: Evidence) -> Finding | None:
    """Find that a run had few epochs."""
    if evidence.epoch >= 10:
        return None
    return Finding(
        name="short_run",
        title="The run was short",
        evidence=f"It has {evidence.epoch + 1} epochs.",
        remedy="--set train.epochs=50",
        severity="warning",
        epochs=(0, max(0, evidence.epoch)),
        numbers={"epochs": float(evidence.epoch + 1)},
    )

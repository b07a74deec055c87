"""A learning rate that is cut when the validation measure no longer improves."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from vesuv.config.training import Epochs, SchedulerConfig, ScheduleSpan


class PlateauSchedule(SchedulerConfig):
    """ReduceLROnPlateau on the validation measure."""

    name: Literal["plateau"] = "plateau"
    factor: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Factor on the learning rate at each cut."""
    patience: Epochs = 8
    """Epochs without improvement after which the next validation without one cuts the rate."""
    threshold: float = Field(default=5e-4, ge=0.0)
    """Smallest absolute change of the measure that counts as improvement."""
    min_lr: float = Field(default=1e-6, ge=0.0)
    """Lower limit of the learning rate."""

    def build(self, optimizer: Optimizer, span: ScheduleSpan) -> ReduceLROnPlateau:
        return ReduceLROnPlateau(
            optimizer,
            mode="max",
            factor=self.factor,
            # torch counts validations: n of them are more than `patience` epochs exactly if n is
            # more than this quotient
            patience=self.patience // span.validation_every,
            threshold=self.threshold,
            threshold_mode="abs",
            min_lr=self.min_lr,
        )

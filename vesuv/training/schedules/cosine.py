"""Cosine annealing with warm restarts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from vesuv.config.data import PositiveInt
from vesuv.config.training import SchedulerConfig, ScheduleSpan


class CosineSchedule(SchedulerConfig):
    """Cosine annealing with warm restarts."""

    name: Literal["cosine"] = "cosine"
    t_0: PositiveInt = 10
    """Epochs of the first cycle."""
    t_mult: PositiveInt = 2
    """Factor on the length of each next cycle."""
    eta_min: float = Field(default=1e-6, ge=0.0)
    """Learning rate at the end of a cycle."""

    def build(self, optimizer: Optimizer, span: ScheduleSpan) -> CosineAnnealingWarmRestarts:
        return CosineAnnealingWarmRestarts(
            optimizer,
            T_0=self.t_0 * span.steps_per_epoch,
            T_mult=self.t_mult,
            eta_min=self.eta_min,
        )

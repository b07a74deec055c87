"""Polynomial decay of the learning rate to zero at the end of the run."""

from __future__ import annotations

from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vesuv.config.data import PositiveFloat
from vesuv.config.training import SchedulerConfig, ScheduleSpan


class PolySchedule(SchedulerConfig):
    """lr * (1 - progress) ** power; progress is the share of the steps after the warm-up."""

    name: Literal["poly"] = "poly"
    power: PositiveFloat = 0.9
    """1: linear; a smaller power keeps the rate high for longer."""

    def build(self, optimizer: Optimizer, span: ScheduleSpan) -> LambdaLR:
        length, power = max(1, span.steps), self.power
        return LambdaLR(optimizer, lambda step: max(0.0, 1 - step / length) ** power)

"""A rate that falls to zero at the end of the run."""

from __future__ import annotations

from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vesuv.config.data import PositiveFloat
from vesuv.config.training import SchedulerConfig, ScheduleSpan


class PolySchedule(SchedulerConfig):
    """lr * (1 - progress) ** power, progress counted from the end of the warm-up, by step."""

    name: Literal["poly"] = "poly"
    power: PositiveFloat = 0.9
    """1 is a straight line; less keeps the rate high for longer."""

    def build(self, optimizer: Optimizer, span: ScheduleSpan) -> LambdaLR:
        length, power = max(1, span.steps), self.power
        return LambdaLR(optimizer, lambda step: max(0.0, 1 - step / length) ** power)

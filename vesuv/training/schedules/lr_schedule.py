"""The learning rate: warm-up, then a scheduler of torch.optim, with capped multiplications."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from vesuv.config.training import SchedulerConfig, ScheduleSpan


class LRSchedule:
    """Sets the optimiser's learning rate before every step.

    A plateau scheduler depends on the validation measure (higher is better), all others depend on
    the step number, counted from the end of the warm-up.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        config: SchedulerConfig,
        *,
        steps_per_epoch: int,
        epochs: int,
        validation_every: int = 1,
    ) -> None:
        self.optimizer = optimizer
        self.steps_per_epoch = steps_per_epoch
        self.warmup_steps = _warmup_steps(config, steps_per_epoch, epochs)
        self.base_lr: float = optimizer.param_groups[0]["lr"]
        self.peak_lr = self.base_lr
        """Learning rate at the end of the warm-up."""
        steps = steps_per_epoch * epochs - self.warmup_steps
        scheduler = config.build(optimizer, ScheduleSpan(steps, steps_per_epoch, validation_every))
        self.plateau_scheduler: ReduceLROnPlateau | None = None
        self.step_scheduler: LRScheduler | None = None
        if isinstance(scheduler, ReduceLROnPlateau):
            self.plateau_scheduler = scheduler
        else:
            self.step_scheduler = scheduler

    @property
    def lr(self) -> float:
        """The current learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the next step; SWA overrides the schedule with it."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def before_step(self, step: int) -> None:
        """Set the learning rate of global step `step` during the warm-up."""
        if step < self.warmup_steps:
            self.set_lr(self.peak_lr * (step + 1) / self.warmup_steps)
        elif step == self.warmup_steps and self.warmup_steps:
            self.set_lr(self.peak_lr)

    def after_step(self, step: int) -> None:
        """Advance the step scheduler after the warm-up."""
        if self.step_scheduler is not None and step >= self.warmup_steps:
            self.step_scheduler.step()

    def after_validation(self, measure: float, step: int) -> None:
        """Pass the measure to the plateau scheduler, after the warm-up only."""
        if self.plateau_scheduler is not None and step > self.warmup_steps:
            self.plateau_scheduler.step(measure)

    def multiply(self, factor: float, cap: float) -> float:
        """Multiply the learning rate, up to `cap` times the configured one; return the new rate.

        A step scheduler's base rate is multiplied too, up to the same cap, so that a warm restart
        cannot exceed it; and so is the rate at the end of the warm-up.
        """
        max_lr = self.base_lr * cap
        if self.step_scheduler is not None:
            base_lrs = [float(lr) for lr in self.step_scheduler.base_lrs]
            factor = min(factor, max_lr / base_lrs[0])
            self.step_scheduler.base_lrs = [lr * factor for lr in base_lrs]
        self.peak_lr = min(self.peak_lr * factor, max_lr)
        lr = min(self.lr * factor, max_lr)
        self.set_lr(lr)
        return lr

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint, plain values only."""
        values = {k: v for k, v in self._scheduler.state_dict().items() if _is_plain(v)}
        return {"lr": self.lr, "peak_lr": self.peak_lr, "schedule": values}

    def restore(self, state: dict[str, Any], *, new_length: bool = False) -> None:
        """Continue from `state()`; with a new number of epochs, poly follows its new curve."""
        # torch's patience depends on the configuration, see `PlateauSchedule`
        values = {k: v for k, v in state["schedule"].items() if k != "patience"}
        self._scheduler.load_state_dict(values)
        self.set_lr(state["lr"])
        self.peak_lr = state.get("peak_lr", self.base_lr)  # not in checkpoints of former versions
        poly = self.step_scheduler
        if new_length and isinstance(poly, LambdaLR) and poly.last_epoch > 0:
            self.set_lr(float(poly.base_lrs[0]) * poly.lr_lambdas[0](poly.last_epoch))

    @property
    def _scheduler(self) -> LRScheduler | ReduceLROnPlateau:
        scheduler = self.plateau_scheduler or self.step_scheduler
        assert scheduler is not None
        return scheduler


def _warmup_steps(config: SchedulerConfig, steps_per_epoch: int, epochs: int) -> int:
    """Return the steps of the warm-up, at most half of the run."""
    return min(config.warmup_epochs, epochs // 2) * steps_per_epoch


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))

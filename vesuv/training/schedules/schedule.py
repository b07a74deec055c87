"""The learning rate: warm-up, then a schedule of torch.optim, with a cap on what escapes may do."""

from __future__ import annotations

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from vesuv.config.training import SchedulerConfig, ScheduleSpan


class Schedule:
    """Sets the optimiser's learning rate before every step.

    A plateau schedule reacts to the watched measure (higher is better), the others follow the step
    number, counted from the end of the warm-up.
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
        steps = steps_per_epoch * epochs - self.warmup_steps
        built = config.build(optimizer, ScheduleSpan(steps, steps_per_epoch, validation_every))
        self.plateau = built if isinstance(built, ReduceLROnPlateau) else None
        self.curve: LRScheduler | None = None if isinstance(built, ReduceLROnPlateau) else built

    @property
    def lr(self) -> float:
        """The learning rate in force."""
        return float(self.optimizer.param_groups[0]["lr"])

    def before_step(self, step: int) -> None:
        """Set the rate of global step `step` while warming up."""
        if step < self.warmup_steps:
            self._set(self.base_lr * (step + 1) / self.warmup_steps)
        elif step == self.warmup_steps and self.warmup_steps:
            self._set(self.base_lr)

    def after_step(self, step: int) -> None:
        """Move on by one step once the warm-up is over."""
        if self.curve is not None and step >= self.warmup_steps:
            self.curve.step()

    def after_validation(self, measure: float, step: int) -> None:
        """Let the plateau schedule see the watched measure; not while warming up."""
        if self.plateau is not None and step > self.warmup_steps:
            self.plateau.step(measure)

    def multiply(self, factor: float, cap: float) -> float:
        """Multiply the rate, never beyond `cap` times the configured one; return the new rate.

        A curve is raised as a whole, its top under the same cap: a restart must not pass it either.
        """
        highest = self.base_lr * cap
        if self.curve is not None:
            top = float(self.curve.base_lrs[0])
            factor = min(factor, highest / top)
            self.curve.base_lrs = [float(lr) * factor for lr in self.curve.base_lrs]
        scaled = min(self.lr * factor, highest)
        self._set(scaled)
        return scaled

    def override(self, lr: float) -> None:
        """Use this rate for the coming step whatever the schedule says (averaging)."""
        self._set(lr)

    def state(self) -> dict[str, Any]:
        """Return plain state for a checkpoint."""
        part = self.plateau or self.curve
        assert part is not None
        kept = {k: v for k, v in part.state_dict().items() if _is_plain(v)}
        return {"lr": self.lr, "schedule": kept}

    def restore(self, state: dict[str, Any], *, new_length: bool = False) -> None:
        """Continue from `state()`; with another number of epochs, on the curve of the new one."""
        part = self.plateau or self.curve
        assert part is not None
        # what patience means for torch depends on the configuration, see `PlateauSchedule`
        part.load_state_dict({k: v for k, v in state["schedule"].items() if k != "patience"})
        self._set(state["lr"])
        if new_length and isinstance(self.curve, LambdaLR) and self.curve.last_epoch > 0:
            share = self.curve.lr_lambdas[0](self.curve.last_epoch)
            self._set(float(self.curve.base_lrs[0]) * share)

    def _set(self, lr: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = lr


def _warmup_steps(config: SchedulerConfig, steps_per_epoch: int, epochs: int) -> int:
    """Steps of the warm-up; a run shortened below it warms up for its first half at most."""
    return min(config.warmup_epochs, epochs // 2) * steps_per_epoch


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str))

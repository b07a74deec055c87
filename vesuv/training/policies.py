"""What validated measures and non-finite steps change in a run.

None of it depends on a loss, because each phase minimises another loss function.
"""

from __future__ import annotations

from vesuv.config import Config
from vesuv.errors import InputError
from vesuv.runs.folder import RunFolder
from vesuv.training.reporting import Reporter
from vesuv.training.train_state import TrainState

_MAX_ROLLBACKS = 3
"""Maximum number of rollbacks of a run after too many non-finite steps."""


class Policies:
    """Best checkpoint, plateau scheduler, plateau escape, early stopping, non-finite limit.

    Args:
        config: The whole configuration.
        state: The run's state, which they change.
        run: Its folder.
        measure: Name of the validated measure.
        steps_per_epoch: Steps of an epoch.
    """

    def __init__(
        self, config: Config, state: TrainState, run: RunFolder, measure: str, steps_per_epoch: int
    ) -> None:
        self.config, self.state, self.run = config, state, run
        self.measure, self.steps_per_epoch = measure, steps_per_epoch

    def limit_non_finite(self, reporter: Reporter) -> None:
        """Stop the run or roll back to the best weights if too many steps were skipped.

        It is called at fixed steps only, so that the time of a save has no effect on the run.
        """
        progress, limit = self.state.progress, self.config.train.non_finite_limit
        count = progress.skipped_steps - progress.skipped_before_rollback
        if count < limit:
            return
        has_best = progress.best_measure is not None
        hint = f" ({self.run.checkpoint('best')} holds the best weights)" if has_best else ""
        can_roll_back = has_best and progress.rollbacks < _MAX_ROLLBACKS
        if self.config.train.non_finite == "stop" or not can_roll_back:
            raise InputError(
                f"train.non_finite_limit: {count} steps had a non-finite loss or gradient, the "
                f"last in epoch {progress.epoch} ({self.run.path / 'train.log'} names step and "
                f"case of each); lower optimizer.lr, or try runtime.precision=float32{hint}"
            )
        progress.skipped_before_rollback = progress.skipped_steps
        progress.rollbacks += 1
        best_epoch, lr = self._roll_back(0.5, 1.0, reporter)
        line = (
            f"{count} steps skipped; rolled back to epoch {best_epoch}, learning rate now {lr:.3g}"
        )
        reporter.event((progress.epoch, progress.step - 1), "rollback", line)

    def after_validation(self, measure: float, reporter: Reporter) -> None:
        """Update best checkpoint, plateau scheduler and plateau escape, in this order."""
        progress, state = self.state.progress, self.state
        if progress.best_measure is None or measure > progress.best_measure:
            progress.best_measure, progress.best_epoch = measure, progress.epoch
            state.save("best", state.network, measure=measure)
        lr = state.lr_schedule.lr
        state.lr_schedule.after_validation(measure, (progress.epoch + 1) * self.steps_per_epoch)
        if state.lr_schedule.lr < lr:
            line = f"Learning rate cut from {lr:.3g} to {state.lr_schedule.lr:.3g} on a plateau"
            reporter.event(progress.position, "learning_rate", line)
        escape = state.plateau_escape.observe(measure) if state.plateau_escape else None
        if escape is None:
            return
        assert self.config.plateau is not None
        best_epoch, lr = self._roll_back(escape.multiplier, self.config.plateau.cap, reporter)
        reporter.event(
            progress.position,
            "escape",
            f"Adaptive intervention {escape.number}: {escape.reason}; rolled back to epoch "
            f"{best_epoch}, learning rate now {lr:.3g}",
        )

    def early_stopping_reason(self) -> str | None:
        """Return the reason if the run ends after this validation, or None."""
        stopping, progress = self.config.early_stopping, self.state.progress
        if stopping is None or progress.epoch - progress.best_epoch < stopping.patience:
            return None
        return (
            f"Early stopping: no {self.measure} above "
            f"{progress.best_measure:.4f} (epoch {progress.best_epoch}) for {stopping.patience} "
            "epochs"
        )

    def _roll_back(self, factor: float, cap: float, reporter: Reporter) -> tuple[int, float]:
        """Load the best weights and multiply the learning rate; return their epoch and the rate."""
        best_epoch, faults = self.state.roll_back()
        for fault in faults:
            reporter.say(fault)
        return best_epoch, self.state.lr_schedule.multiply(factor, cap)

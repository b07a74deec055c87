"""The training loop: epochs of steps, validation on a fixed measure, and policies that use it.

Two things are unusual. The scheduler, early stopping, plateau escape and the best checkpoint depend
on the overlap on fixed tiles (`validation.py`) and never on a loss, because each phase minimises
another loss function. And patches and noise are pure functions of seed, epoch and step, so that a
run can be saved after any step and resumed with the same result.
"""

from __future__ import annotations

import time

import torch

from vesuv.config import Config
from vesuv.io.printable import number_of
from vesuv.runs.checkpoints import Checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import Finding
from vesuv.runs.writer import Position
from vesuv.runtime.interruption import StopRequest
from vesuv.runtime.machine import Machine
from vesuv.training.early_end import TimeLimit, save_on_interrupt
from vesuv.training.fold_data import FoldData
from vesuv.training.loader import PatchLoader, explain_killed_workers
from vesuv.training.log_lines import start_line, train_line
from vesuv.training.nan_guard import NanGuard
from vesuv.training.network import memory_format, place_network
from vesuv.training.policies import Policies
from vesuv.training.reconstruction import Reconstruction, spatial_augmentation
from vesuv.training.reporting import SILENT, Listener, MetricsRow, Reporter, StepProgress
from vesuv.training.step import TrainingStep
from vesuv.training.step_clock import StepClock
from vesuv.training.task import LossWeights, Segmentation, Task
from vesuv.training.train_state import TrainProgress, TrainState
from vesuv.training.weight_noise import WeightNoise
from vesuv.transforms.collate import Batch

_SKIP_CHECK_STEPS = 10
"""Steps between two checks for skipped steps, in each of which the host waits for the device."""


class Trainer:
    """Trains one fold into one run folder.

    Args:
        config: The whole configuration.
        data: The fold's cases.
        run: The folder.
        machine: Device, precision and processes.
        listener: Receives log lines and progress.
    """

    def __init__(
        self,
        config: Config,
        data: FoldData,
        run: RunFolder,
        machine: Machine,
        listener: Listener = SILENT,
    ) -> None:
        torch.manual_seed(config.runtime.seed)
        self.config, self.data, self.run = config, data, run
        self.machine, self.group, self.listener = machine, machine.group, listener
        self.steps_per_epoch = config.train.steps_per_epoch or max(
            1, len(data.train) // config.sampling.batch_size
        )
        self.is_segmentation = config.train.task == "segmentation"
        kind = Segmentation if self.is_segmentation else Reconstruction
        self.task: Task = kind(config, data, machine)
        network = self.task.build_network()
        self.network = place_network(network, config.runtime, machine.device)
        self.state = TrainState(
            config, data.normalizer, run, self.network, self.steps_per_epoch, machine
        )
        seed = config.runtime.seed
        self.weight_noise = WeightNoise(config.noise, self.network, seed) if config.noise else None
        self.batch_places = self.group.batch_places(config.sampling.batch_size)
        wrapped_network = self.group.share_gradients(self.network)
        self.training_step = TrainingStep(
            torch.compile(wrapped_network) if config.runtime.compile else wrapped_network,
            list(self.network.parameters()),
            self.state.optimizer,
            self.task.loss,
            machine,
            gradient_clip=config.train.gradient_clip,
            accumulate=config.runtime.accumulate,
            memory_format=memory_format(config.runtime),
        )
        self.policies = Policies(config, self.state, run, self.task.measure, self.steps_per_epoch)
        self.nan_guard = NanGuard(self.group)
        self.stop_request = StopRequest(self.group, listener.notice)
        self.resume_notes: list[str] = []

    @property
    def progress(self) -> TrainProgress:
        return self.state.progress

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings of the last validation."""
        return self.validation.findings

    @property
    def position(self) -> Position:
        """Epoch, and number of its finished steps."""
        return self.progress.position

    def resume(self, checkpoint: Checkpoint, *notes: str) -> None:
        """Continue from last.pt, and log the notes at the start.

        Raises:
            InputError: The checkpoint belongs to another run.
        """
        self.resume_notes += filter(None, [*notes, self.state.restore(checkpoint)])

    def fit(self, pause_seconds: float | None = None) -> TrainProgress:
        """Train until the last epoch, early stopping or the time limit.

        Args:
            pause_seconds: End after the first epoch that ends later than this. A trainer that
                resumes goes on with the same result.

        Raises:
            InputError: The configuration or the data are wrong, or the folder cannot be written.
            Interrupted: A signal came; the run is saved.
        """
        self.time_limit = TimeLimit(self.config.runtime.max_minutes, self.group, pause_seconds)
        self.validation = self.task.validation(self.state, self.stop_request.check)
        loader = self._loader()
        reporter = Reporter(self.run, self.position, self.group, self.listener)
        try:
            with (
                self.stop_request,
                reporter,
                self.group.attribute_errors(),
                explain_killed_workers(),
            ):
                self.validation.start_monitor(reporter)
                self._log_start(reporter)
                with save_on_interrupt(reporter, lambda: self._save(reporter)):
                    stop_reason = self._train_epochs(loader, reporter)
                reporter.event(self.position, "stop", stop_reason)
                if not self.time_limit.is_paused:
                    reporter.conclude(self.findings)
                    best, best_epoch = self.progress.best_measure, self.progress.best_epoch
                    reporter.say(self.task.summary(self.run.path, best, best_epoch))
        finally:
            loader.close()
        return self.progress

    def _loader(self) -> PatchLoader:
        config, data, machine = self.config, self.data, self.machine
        return PatchLoader(
            data.train,
            [data.normalizer.for_case(case.statistics) for case in data.train],
            config.sampling,
            config.augment if self.is_segmentation else spatial_augmentation(config.augment),
            seed=config.runtime.seed,
            steps_per_epoch=self.steps_per_epoch,
            workers=machine.workers,
            augment_on=machine.augment_on,
            device=machine.device,
            targets=config.labels.targets,
            places=self.batch_places,
        )

    def _train_epochs(self, loader: PatchLoader, reporter: Reporter) -> str:
        """Train all epochs; return the reason for the end of the run."""
        while self.progress.epoch < self.config.train.epochs:
            stop_reason = self._train_epoch(loader, reporter)
            if stop_reason is None and self.progress.epoch < self.config.train.epochs:
                stop_reason = self.time_limit.pause_reason()
            if stop_reason:
                return stop_reason
        return f"{number_of(self.config.train.epochs, 'epoch')} done"

    def _train_epoch(self, loader: PatchLoader, reporter: Reporter) -> str | None:
        """Train and validate one epoch; return the reason if the run ends here, or None."""
        config, progress = self.config, self.progress
        epoch = progress.epoch
        weights = self.task.weights(epoch)
        self.stop_request.check()
        if progress.step == 0:
            self._before_epoch(epoch, reporter)
        row = self._train_steps(loader, weights, reporter)
        seconds_left = self.time_limit.seconds_left
        if row["patches_per_second"]:
            reporter.log(train_line(config, self.position, row, self.steps_per_epoch, seconds_left))
        row |= {f"weight/{name}": weight for name, weight in weights.items()}
        complete = progress.step == self.steps_per_epoch
        finished = complete and epoch + 1 == config.train.epochs
        validation_due = finished or (complete and (epoch + 1) % config.validation.every == 0)
        stop_reason = None if finished else self.time_limit.reason_if_reached()
        if not (validation_due or stop_reason):
            reporter.metrics(epoch, row)
        else:
            scores, columns = self.validation.score(epoch, weights, reporter)
            reporter.metrics(epoch, row | columns)
            self.validation.diagnose(epoch, scores, weights, reporter)
            stop_reason = None if finished else self.time_limit.reason_if_reached()
            if validation_due:
                self.policies.after_validation(scores.measure, reporter)
                stop_reason = self.policies.early_stopping_reason() or stop_reason
            elif progress.best_measure is None:
                self.state.save("best", self.network, measure=scores.measure)
            reporter.page()
        if complete:
            self.state.next_epoch()
        self.state.save_last()
        return stop_reason

    def _before_epoch(self, epoch: int, reporter: Reporter) -> None:
        line = self.task.start_line(epoch)
        if line is not None:
            reporter.event((epoch, 0), "phase", line)
        std = self.weight_noise.inject(self.network, epoch) if self.weight_noise else None
        if std is not None:
            line = f"Weight noise injected, relative deviation {std:.2g}"
            reporter.event((epoch, 0), "noise", line)

    def _train_steps(
        self, loader: PatchLoader, weights: LossWeights, reporter: Reporter
    ) -> MetricsRow:
        """Run the remaining steps of the epoch, up to the time limit."""
        progress, epoch, num_steps = self.progress, self.progress.epoch, self.steps_per_epoch
        clock, lr = StepClock(self.config.sampling.batch_size), self.state.lr_schedule.lr
        self.network.train()
        batches = iter(loader.epoch(epoch, progress.step))
        for step in range(progress.step, num_steps):
            if step:  # not before step 0: weight noise is already added
                self.stop_request.check()
            with clock.waiting():
                batch = next(batches)
            lr = self._train_step(step, batch, weights)
            self._after_step(reporter)
            epochs, rate = self.config.train.epochs, clock.count_step()
            reporter.listener.step(StepProgress(epoch, epochs, progress.step, num_steps, rate))
            if self.time_limit.is_reached():
                break
        self._report_skipped_steps(reporter)
        return {
            **self.state.epoch_metrics.row(),
            "lr": lr,
            **clock.row(),
            "skipped_steps": progress.skipped_steps,
        }

    def _train_step(self, step: int, batch: Batch, weights: LossWeights) -> float:
        """Take one step of the epoch; return its learning rate."""
        epoch, state = self.progress.epoch, self.state
        global_step = epoch * self.steps_per_epoch + step
        state.lr_schedule.before_step(global_step)
        swa_lr = state.averages.swa_lr(epoch)
        if swa_lr is not None:
            state.lr_schedule.set_lr(swa_lr)
        lr = state.lr_schedule.lr
        batch = self.task.batch(batch, epoch, step)
        result = self.training_step(batch, self.task.step_weights(weights, global_step))
        state.epoch_metrics.add_step(result)
        if self.is_segmentation:
            state.epoch_metrics.add_patches(batch.label)
        self.nan_guard.record(step, batch.cases, result)
        state.lr_schedule.after_step(global_step)
        state.averages.update_ema(self.network)
        self.progress.step = step + 1
        if self.progress.step == self.steps_per_epoch:
            state.averages.update_swa(self.network, epoch)
        return lr

    def _after_step(self, reporter: Reporter) -> None:
        """Check for skipped steps, and save within the epoch, where they are due."""
        step = self.progress.step
        if step % _SKIP_CHECK_STEPS == 0 or step == self.steps_per_epoch:
            self._report_skipped_steps(reporter)
            self.policies.limit_non_finite(reporter)
        minutes = (time.monotonic() - self.state.saved_at) / 60
        # the clocks of processes differ
        if self.group.any_process(minutes > self.config.checkpoint.every_minutes)[0]:
            self._save(reporter)

    def _save(self, reporter: Reporter) -> Position:
        """Save last.pt; return the position."""
        self._report_skipped_steps(reporter)
        self.state.save_last()
        return self.position

    def _report_skipped_steps(self, reporter: Reporter) -> None:
        for skipped in self.nan_guard.pop_skipped_steps():
            self.progress.skipped_steps += 1
            reporter.event((self.progress.epoch, skipped.step), "non_finite", skipped.line)

    def _log_start(self, reporter: Reporter) -> None:
        config, steps = self.config, self.steps_per_epoch
        reporter.say(start_line(config, self.run.path, self.network, self.data, steps))
        for line in (str(self.machine), *self.task.data_lines(), *self.state.pretrained_lines):
            reporter.say(line)
        if self.position != (0, 0):
            line = " ".join(["Resumed at step", f"{self.progress.step}.", *self.resume_notes])
            reporter.event(self.position, "resume", line)

"""The training loop: epochs of steps, a fixed measure, and the policies that listen to it.

What is unusual here: the scheduler, early stopping, plateau escape and "best" all watch one number,
the masked overlap on fixed tiles (`validation.py`), never a loss, because the loss becomes another
function at each change of phase. Patches and noise are pure functions of seed, epoch and step, so a
run's whole random state is its position: it can be saved after any step and go on exactly there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vesuv.config import Config
from vesuv.errors import InputError, Interrupted
from vesuv.losses import build_losses
from vesuv.losses.compound import Compound
from vesuv.models import build_model, recompute_levels
from vesuv.models.heads import initialise_output_bias
from vesuv.runs.checkpoints import Checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import Finding
from vesuv.runs.writer import Position
from vesuv.runtime.interruption import StopRequest
from vesuv.runtime.machine import Machine
from vesuv.training.epoch_validation import EpochValidation
from vesuv.training.fold_data import FoldData
from vesuv.training.lines import start_line, summary_line, train_line
from vesuv.training.loader import PatchLoader, explain_ended_workers
from vesuv.training.noise import WeightNoise
from vesuv.training.non_finite import NonFiniteWatch
from vesuv.training.phases import phase_at, weights_at
from vesuv.training.reporting import SILENT, Listener, Reporter, Row, StepProgress
from vesuv.training.step import TrainingStep
from vesuv.training.train_state import TrainProgress, TrainState
from vesuv.transforms.collate import Batch

Weights = dict[str, float]
"""Weight of each loss term in an epoch."""

_CHECK_EVERY = 10
"""Steps between two looks for skipped steps: each makes the host wait once."""
_MOST_ROLLBACKS = 3
"""Times that a run goes back to its best weights after too many non-finite steps."""


class Trainer:
    """Trains one fold into one run folder.

    Args:
        config: The whole configuration.
        data: The fold's cases.
        run: The folder.
        machine: Where to compute.
        listener: Hears what the run says.
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
        layout = torch.channels_last_3d if config.runtime.channels_last else torch.contiguous_format
        network = build_model(config.model)
        initialise_output_bias(network, data.class_fractions)
        recompute_levels(network, config.runtime.recompute_levels)
        self.network = network.to(machine.device).to(memory_format=layout)  # type: ignore[call-overload]
        self.state = TrainState(
            config, data.normalizer, run, self.network, self.steps_per_epoch, machine
        )
        self.compound = Compound(build_losses(config.loss, config.terms))
        seed = config.runtime.seed
        self.noise = WeightNoise(config.noise, self.network, seed) if config.noise else None
        self.places = self.group.batch_places(config.sampling.batch_size)
        shared = self.group.share_gradients(self.network)
        self.step = TrainingStep(
            torch.compile(shared) if config.runtime.compile else shared,
            list(self.network.parameters()),
            self.state.optimizer,
            self.compound,
            machine,
            gradient_clip=config.train.gradient_clip,
            accumulate=config.runtime.accumulate,
            memory_format=layout,
        )
        self.non_finite = NonFiniteWatch(self.group)
        self.stop = StopRequest(self.group)
        self.resume_notes: list[str] = []

    @property
    def progress(self) -> TrainProgress:
        """Where the run stands."""
        return self.state.progress

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is the matter with the run, as of the last validation."""
        return self.validation.findings

    @property
    def position(self) -> Position:
        """Epoch, and number of its steps that are done."""
        return self.progress.epoch, self.progress.step

    def resume(self, checkpoint: Checkpoint, *notes: str) -> None:
        """Continue from last.pt; the notes are said when the run goes on.

        Raises:
            InputError: The checkpoint does not fit.
        """
        note = self.state.restore(checkpoint)
        self.resume_notes += [*notes, *([note] if note else [])]

    def fit(self) -> TrainProgress:
        """Train until the epochs, the patience or the minutes are used up.

        Raises:
            InputError: Something the user gave is at fault, or the folder cannot be written.
            Interrupted: A signal came; everything is saved.
        """
        self.deadline = time.monotonic() + 60 * (self.config.runtime.max_minutes or float("inf"))
        self.validation = EpochValidation(
            self.config, self.data, self.state, self.compound, self.machine, self.stop.check
        )
        loader = self._loader()
        reporter = Reporter(self.run, self.position, self.group, self.listener)
        try:
            with self.stop, reporter, self.group.attribute_errors(), explain_ended_workers():
                self.validation.watch(reporter)
                self._announce(reporter)
                with self._saved_when_interrupted(reporter):
                    end = self._epochs(loader, reporter)
                reporter.event(self.position, "stop", end)
                reporter.conclude(self.findings)
                reporter.say(self._summary())
        finally:
            loader.close()
        return self.progress

    @contextmanager
    def _saved_when_interrupted(self, reporter: Reporter) -> Iterator[None]:
        try:
            yield
        except Interrupted as signal:
            self._report_skipped(reporter)
            self.state.save_last()
            epoch, step = self.position
            end = f"Stopped by {signal} and saved at step {step}; --resume goes on"
            reporter.event((epoch, step), "stop", end)
            reporter.page()
            raise Interrupted(f"{self.run.path}: epoch {epoch}: {end}") from None

    def _loader(self) -> PatchLoader:
        config, data, machine = self.config, self.data, self.machine
        return PatchLoader(
            data.train,
            [data.normalizer.for_case(case.statistics) for case in data.train],
            config.sampling,
            config.augment,
            seed=config.runtime.seed,
            steps_per_epoch=self.steps_per_epoch,
            workers=machine.workers,
            augment_on=machine.augment_on,
            device=machine.device,
            num_classes=config.labels.num_classes,
            places=self.places,
        )

    def _epochs(self, loader: PatchLoader, reporter: Reporter) -> str:
        """Train to the end; return why it is the end."""
        while self.progress.epoch < self.config.train.epochs:
            end = self._epoch(loader, reporter)
            if end:
                return end
        return f"All {self.config.train.epochs} epochs done"

    def _epoch(self, loader: PatchLoader, reporter: Reporter) -> str | None:
        """Train and validate one epoch; return why the run ends here, or None."""
        config, progress = self.config, self.progress
        epoch = progress.epoch
        weights = weights_at(config.phases, epoch, config.terms)
        self.stop.check()
        if progress.step == 0:
            self._before_epoch(epoch, weights, reporter)
        row = self._train(loader, weights, reporter)
        left = self.deadline - time.monotonic()
        if row["patches_per_second"]:
            reporter.say(train_line(config, self.position, row, self.steps_per_epoch, left))
        row |= {f"weight/{name}": weight for name, weight in weights.items()}
        complete = progress.step == self.steps_per_epoch
        last = epoch + 1 == config.train.epochs
        due = complete and ((epoch + 1) % config.validation.every == 0 or last)
        end = None
        if not (due or self._time_is_over(last and complete)):
            reporter.metrics(epoch, row)
        else:
            scored, columns = self.validation.score(epoch, weights, reporter)
            reporter.metrics(epoch, row | columns)
            self.validation.diagnose(epoch, scored, weights, reporter)
            if due:
                self._apply_policies(epoch, scored.measure, reporter)
                end = self._patience_is_over(epoch)
            elif progress.best_measure is None:
                self.state.save("best", self.network, measure=scored.measure)
            reporter.page()
        if complete:
            self.state.next_epoch()
        self.state.save_last()
        return end or self._time_is_over(last and complete)

    def _time_is_over(self, finished: bool) -> str | None:
        if finished or not self._any(time.monotonic() > self.deadline):
            return None
        minutes = self.config.runtime.max_minutes
        return f"Stopped after runtime.max_minutes={minutes}; --resume goes on"

    def _before_epoch(self, epoch: int, weights: Weights, reporter: Reporter) -> None:
        index = phase_at(self.config.phases, epoch)
        if epoch == self.config.phases[index].epochs[0]:
            shown = ", ".join(f"{name} {weight:g}" for name, weight in weights.items() if weight)
            reporter.event((epoch, 0), "phase", f"Phase {index + 1} begins: {shown}")
        std = self.noise.inject(self.network, epoch) if self.noise else None
        if std is not None:
            line = f"Weight noise injected, relative deviation {std:.2g}"
            reporter.event((epoch, 0), "noise", line)

    def _train(self, loader: PatchLoader, weights: Weights, reporter: Reporter) -> Row:
        """Run the rest of the epoch's steps, or as many as there is time for."""
        progress, epoch, batch_size = (
            self.progress, self.progress.epoch, self.config.sampling.batch_size
        )  # fmt: skip
        began, first = time.monotonic(), progress.step
        waited, rate, lr = 0.0, 0.0, self.state.schedule.lr
        self.network.train()
        batches = iter(loader.epoch(epoch, first))
        for step in range(first, self.steps_per_epoch):
            if step:  # before the first one, weight noise was added
                self.stop.check()
            asked = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - asked
            lr = self._step(step, batch, weights)
            self._after_step(reporter)
            rate = (progress.step - first) * batch_size / (time.monotonic() - began)
            reporter.listener.step(
                StepProgress(
                    epoch, self.config.train.epochs, progress.step, self.steps_per_epoch, rate
                )
            )
            if self._any(time.monotonic() > self.deadline):
                break
        self._report_skipped(reporter)
        seconds = max(time.monotonic() - began, 1e-9)
        return {
            **self.state.sums.row(),
            "lr": lr,
            "seconds": seconds,
            "patches_per_second": (progress.step - first) * batch_size / seconds,
            "loader_wait_share": waited / seconds,
            "skipped_steps": progress.skipped,
        }

    def _step(self, step: int, batch: Batch, weights: Weights) -> float:
        """Take one step of the epoch; return the learning rate it was taken with."""
        epoch, state = self.progress.epoch, self.state
        number = epoch * self.steps_per_epoch + step
        state.schedule.before_step(number)
        swa_lr = state.averages.learning_rate(epoch)
        if swa_lr is not None:
            state.schedule.override(swa_lr)
        lr = state.schedule.lr
        result = self.step(batch, weights)
        state.sums.add(result)
        state.sums.see(batch.label)
        self.non_finite.see(step, batch.cases, result)
        state.schedule.after_step(number)
        state.averages.after_step(self.network)
        self.progress.step = step + 1
        if self.progress.step == self.steps_per_epoch:
            state.averages.after_epoch(self.network, epoch)
        return lr

    def _after_step(self, reporter: Reporter) -> None:
        """Look for skipped steps and save within the epoch when they are due."""
        step = self.progress.step
        if step % _CHECK_EVERY == 0 or step == self.steps_per_epoch:
            self._report_skipped(reporter)
            self._respect_limit(reporter)
        minutes = (time.monotonic() - self.state.saved_at) / 60
        if self._any(minutes > self.config.checkpoint.every_minutes):
            self._report_skipped(reporter)
            self.state.save_last()

    def _any(self, due: bool) -> bool:
        """Tell whether something is due in any process, whose clocks differ."""
        return self.group.any_process(due)[0]

    def _report_skipped(self, reporter: Reporter) -> None:
        for skipped in self.non_finite.look():
            self.progress.skipped += 1
            reporter.event((self.progress.epoch, skipped.step), "non_finite", skipped.line)

    def _respect_limit(self, reporter: Reporter) -> None:
        """Stop or go back to the best weights when too many steps were skipped.

        Called at fixed steps only, so that when a run was saved changes nothing in it.
        """
        progress, limit = self.progress, self.config.train.non_finite_limit
        count = progress.skipped - progress.forgiven
        if count < limit:
            return
        possible = progress.best_measure is not None and progress.rollbacks < _MOST_ROLLBACKS
        if self.config.train.non_finite == "stop" or not possible:
            raise InputError(
                f"train.non_finite_limit: {count} steps had a non-finite loss or gradient, the "
                f"last in epoch {progress.epoch} ({self.run.path / 'train.log'} names step and "
                "case of each); lower optimizer.lr, or try runtime.precision=float32 "
                f"({self.run.checkpoint('best')} holds the best weights)"
            )
        progress.forgiven = progress.skipped
        progress.rollbacks += 1
        best, lr = self._go_back(0.5, 1.0, reporter)
        line = f"{count} steps skipped; rolled back to epoch {best}, learning rate now {lr:.3g}"
        reporter.event((progress.epoch, progress.step - 1), "rollback", line)

    def _go_back(self, factor: float, cap: float, reporter: Reporter) -> tuple[int, float]:
        """Load the best weights and multiply the rate; return their epoch and the new rate."""
        best, faults = self.state.go_back()
        for fault in faults:
            reporter.say(fault)
        return best, self.state.schedule.multiply(factor, cap)

    def _apply_policies(self, epoch: int, measure: float, reporter: Reporter) -> None:
        """Apply best, plateau schedule and plateau escape, in this order."""
        progress, state = self.progress, self.state
        if progress.best_measure is None or measure > progress.best_measure:
            progress.best_measure, progress.best_epoch = measure, epoch
            state.save("best", self.network, measure=measure)
        lr = state.schedule.lr
        state.schedule.after_validation(measure, (epoch + 1) * self.steps_per_epoch)
        if state.schedule.lr < lr:
            line = f"Learning rate cut from {lr:.3g} to {state.schedule.lr:.3g} on a plateau"
            reporter.event(self.position, "learning_rate", line)
        escape = state.escape.observe(measure) if state.escape else None
        if escape is None:
            return
        assert self.config.plateau is not None
        best, lr = self._go_back(escape.multiplier, self.config.plateau.cap, reporter)
        reporter.event(
            self.position,
            "escape",
            f"Adaptive intervention {escape.number}: {escape.reason}; rolled back to epoch "
            f"{best}, learning rate now {lr:.3g}",
        )

    def _patience_is_over(self, epoch: int) -> str | None:
        stopping, progress = self.config.early_stopping, self.progress
        if stopping is None or epoch - progress.best_epoch < stopping.patience:
            return None
        return (
            f"Early stopping: no {self.config.validation.measure} above "
            f"{progress.best_measure:.4f} (epoch {progress.best_epoch}) for {stopping.patience} "
            "epochs"
        )

    def _announce(self, reporter: Reporter) -> None:
        config, steps = self.config, self.steps_per_epoch
        reporter.say(start_line(config, self.run.path, self.network, self.data, steps))
        reporter.say(str(self.machine))
        if self.position != (0, 0):
            line = " ".join(["Resumed at step", f"{self.progress.step}.", *self.resume_notes])
            reporter.event(self.position, "resume", line)

    def _summary(self) -> str:
        best, epoch = self.progress.best_measure, self.progress.best_epoch
        held_out = self.data.validation is not self.data.train
        return summary_line(self.config, self.run.path, best, epoch, held_out=held_out)

"""Training of a detector: steps on strips, scores on the whole logs of the fold's wells.

Strips are pure functions of seed, epoch and step, so that a run that is resumed equals one that was
not interrupted.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from vesuv.curves.checkpoint import DetectorCheckpoint, save_detector
from vesuv.curves.config import CurvesConfig
from vesuv.curves.detector import Detector
from vesuv.curves.findings import find_faults
from vesuv.curves.matching import CurveLoss
from vesuv.curves.page import write_page
from vesuv.curves.strips import StripSampler
from vesuv.curves.validation import MEASURE, FoldLogs, LogValidation, epoch_text
from vesuv.errors import InputError
from vesuv.io.printable import number_of
from vesuv.runs.checkpoints import first_difference
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import Finding
from vesuv.runs.writer import Position, write_diagnosis
from vesuv.runtime.interruption import StopRequest
from vesuv.runtime.machine import Machine
from vesuv.training.averaging import Averages
from vesuv.training.early_end import TimeLimit, save_on_interrupt
from vesuv.training.optimizers import build_optimizer
from vesuv.training.reporting import SILENT, Listener, MetricsRow, Reporter, StepProgress
from vesuv.training.schedules.lr_schedule import LRSchedule
from vesuv.training.step_clock import StepClock

_SUMS = ("loss", "loss_class", "loss_parameters", "loss_mask", "strips_with_picks")


class CurvesTrainer:
    """Trains a detector into one run folder.

    Args:
        config: The whole configuration.
        logs: The fold's logs.
        run: The folder.
        machine: Device and precision.
        listener: Receives log lines and progress.
    """

    def __init__(
        self,
        config: CurvesConfig,
        logs: FoldLogs,
        run: RunFolder,
        machine: Machine,
        listener: Listener = SILENT,
    ) -> None:
        torch.manual_seed(config.runtime.seed)
        self.config, self.logs, self.run = config, logs, run
        self.machine, self.listener = machine, listener
        self.detector = Detector(config.detector, config.strips).to(machine.device)
        self.optimizer = build_optimizer(self.detector, config.optimizer)
        self.schedule = LRSchedule(
            self.optimizer,
            config.scheduler,
            steps_per_epoch=config.train.steps_per_epoch,
            epochs=config.train.epochs,
            validation_every=config.train.validate_every,
        )
        self.averages = Averages(self.detector, config.averaging)
        self.sampler = StripSampler(logs.train, config.strips, config.augment, config.runtime.seed)
        self.loss = CurveLoss(config.loss, config.strips.rows)
        self.epoch = self.step = 0
        self.best: float | None = None
        self.sums = dict.fromkeys(_SUMS, 0.0)
        self.gradient_norm = math.nan
        """Of the last step."""
        self.stop_request = StopRequest(machine.group, listener.notice)
        self.validation = LogValidation(config, logs, machine, run.path, self.stop_request.check)

    def resume(self, checkpoint: DetectorCheckpoint) -> None:
        """Continue from last.pt.

        Raises:
            InputError: The checkpoint belongs to another run.
        """
        state = checkpoint.training
        difference = first_difference(self.detector.state_dict(), checkpoint.model)
        if state is None or difference is not None:
            reason = difference or "no training state"
            raise InputError(f"{checkpoint.path}: is not this run's ({reason}); start a new run")
        self.detector.load_state_dict(checkpoint.model)
        try:
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.restore(state["schedule"], new_length=state["epochs"] != self._epochs)
            self.averages.restore(state["averages"])
            self.epoch, self.step, self.best = state["epoch"], state["step"], state["best"]
            self.sums = {name: float(state["sums"][name]) for name in _SUMS}
            self.gradient_norm = float(state.get("gradient_norm", math.nan))
        except (KeyError, TypeError, ValueError, RuntimeError) as fault:
            raise InputError(
                f"{checkpoint.path}: its training state is not this run's ({fault!s:.120}); start "
                "a new run"
            ) from None

    def fit(self) -> float | None:
        """Train until the last epoch or the time limit; return the best measure.

        Raises:
            InputError: The folder cannot be written, or the network has diverged.
            Interrupted: A signal came; the run is saved.
        """
        time_limit = TimeLimit(self.config.runtime.max_minutes, self.machine.group)
        position = (self.epoch, self.step)
        reporter = Reporter(
            self.run, position, self.machine.group, self.listener, write_page=write_page
        )
        with self.stop_request, reporter:
            self._say_start(reporter, position)
            reason = None
            with save_on_interrupt(reporter, self._save_last):
                while self.epoch < self._epochs and reason is None:
                    self._train_epoch(reporter)
                    if self.epoch < self._epochs:
                        reason = time_limit.reason_if_reached()
            reason = reason or f"{number_of(self._epochs, 'epoch')} done"
            reporter.event((self.epoch, self.step), "stop", reason)
            reporter.conclude(self._diagnose(reporter))
        return self.best

    @property
    def _epochs(self) -> int:
        return self.config.train.epochs

    def _train_epoch(self, reporter: Reporter) -> None:
        """Train the rest of an epoch, validate where it is due, and save."""
        steps, clock = self.config.train.steps_per_epoch, StepClock(self.config.strips.batch_size)
        self.detector.train()
        while self.step < steps:
            self.stop_request.check()
            self._train_step()
            progress = StepProgress(self.epoch, self._epochs, self.step, steps, clock.count_step())
            reporter.listener.step(progress)
        row: MetricsRow = {f"train/{name}": value / steps for name, value in self.sums.items()}
        row |= {"train/gradient_norm": self.gradient_norm, "lr": self.schedule.lr}
        row |= {"seconds": clock.seconds, "strips_per_second": clock.num_patches / clock.seconds}
        every = self.config.train.validate_every
        if (self.epoch + 1) % every == 0 or self.epoch + 1 == self._epochs:
            row |= self._validate()
        reporter.metrics(self.epoch, row)
        reporter.log(f"Epoch {self.epoch} {epoch_text(row)}")
        self._diagnose(reporter)
        self.epoch, self.step = self.epoch + 1, 0
        self.sums = dict.fromkeys(_SUMS, 0.0)
        self._save_last()
        reporter.page()

    def _diagnose(self, reporter: Reporter) -> tuple[Finding, ...]:
        findings = find_faults(self.run.path)
        write_diagnosis(self.run, min(self.epoch, self._epochs - 1), findings)
        reporter.findings(self.epoch, findings)
        return findings

    def _train_step(self) -> None:
        number = self.epoch * self.config.train.steps_per_epoch + self.step
        self.schedule.before_step(number)
        batch = self.sampler.batch(self.epoch, self.step)
        detection = self.machine.forward(self.detector, batch.images.to(self.machine.device))
        terms = self.loss(detection, batch.picks, batch.masks)
        self.optimizer.zero_grad()
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        limit = self.config.train.gradient_clip or float("inf")
        norm = nn.utils.clip_grad_norm_(self.detector.parameters(), limit)
        self.gradient_norm = float(norm)
        if not math.isfinite(self.gradient_norm):
            raise InputError(
                f"optimizer.lr: the gradient is not finite in epoch {self.epoch}; lower it, or set "
                "runtime.precision=float32"
            )
        self.optimizer.step()
        self.schedule.after_step(number)
        self.averages.update_ema(self.detector)
        for name, value in terms.items():
            self.sums[name] += float(value.detach())
        self.sums["strips_with_picks"] += sum(map(bool, batch.picks)) / len(batch.picks)
        self.step += 1

    def _validate(self) -> MetricsRow:
        """Score the wells with the averaged weights where there are any; save the best."""
        averaged = self.averages.started_models().get("ema", self.detector)
        assert isinstance(averaged, Detector)
        row = self.validation(averaged)
        measure = row[f"val/{MEASURE}"]
        assert measure is not None
        if math.isfinite(measure) and (self.best is None or measure > self.best):
            self.best = measure
            path = self.run.checkpoint("best")
            save_detector(path, averaged, self.config, self.epoch, measure=measure)
        num_steps = (self.epoch + 1) * self.config.train.steps_per_epoch
        self.schedule.after_validation(measure, num_steps)
        return row

    def _save_last(self) -> Position:
        """Save last.pt; return epoch, and number of its finished steps."""
        state: dict[str, Any] = {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state(),
            "averages": self.averages.state(),
            "epochs": self._epochs,
            "epoch": self.epoch,
            "step": self.step,
            "best": self.best,
            "sums": self.sums,
            "gradient_norm": self.gradient_norm,
        }
        save_detector(
            self.run.checkpoint("last"), self.detector, self.config, self.epoch, training=state
        )
        return self.epoch, self.step

    def _say_start(self, reporter: Reporter, position: Position) -> None:
        train, validation = self.logs.train, self.logs.validation
        num_parameters = sum(p.numel() for p in self.detector.parameters())
        num_picks = sum(len(log.picks) for log in train)
        reporter.say(
            f"{self.config.name} into {self.run.path}: {num_parameters:,} parameters; "
            f"{len(train)} training wells with {num_picks} picks, {len(validation)} validation "
            f"wells with {sum(len(log.picks) for log in validation)}; {self._epochs} epochs of "
            f"{self.config.train.steps_per_epoch} steps"
        )
        reporter.say(str(self.machine))
        if position != (0, 0):
            reporter.event(position, "resume", f"Resumed at step {self.step}.")

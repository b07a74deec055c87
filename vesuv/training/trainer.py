"""The training loop: epochs of steps, a fixed measure, and the policies that listen to it.

What is unusual here: the scheduler, early stopping, plateau escape and "best" all watch one number,
the masked overlap on fixed tiles (`tiles.py`), never a loss, because the loss becomes another
function at each change of phase. Patches and noise are pure functions of seed, epoch and step, so a
run's whole random state is its position: it can be saved after any step and go on exactly there.
"""

from __future__ import annotations

import time

import torch

from vesuv.config import Config
from vesuv.diagnosis import Finding
from vesuv.errors import InputError, Interrupted
from vesuv.losses import build_losses
from vesuv.losses.compound import Compound
from vesuv.models import build_model, recompute_levels
from vesuv.models.heads import initialise_output_bias
from vesuv.runs.checkpoints import Checkpoint
from vesuv.runs.folder import RunFolder
from vesuv.runtime.interruption import StopRequest
from vesuv.runtime.machine import Machine
from vesuv.training.fold_data import FoldData
from vesuv.training.full_volumes import score_volumes
from vesuv.training.lines import start_line, summary_line, train_line, validation_line
from vesuv.training.loader import Batch, PatchLoader, explain_ended_workers
from vesuv.training.monitor import Watch
from vesuv.training.noise import WeightNoise
from vesuv.training.non_finite import NonFiniteWatch
from vesuv.training.phases import phase_at, weights_at
from vesuv.training.slices import slices
from vesuv.training.step import TrainingStep
from vesuv.training.telemetry import Position, Silence, Telemetry, show_rate
from vesuv.training.train_state import Progress, RunState
from vesuv.training.validation import TileScores, ValidationTiles

Row = dict[str, float | int | None]
_CHECK_EVERY = 10
"""Steps between two looks for skipped steps: each makes the host wait once."""
_ROLLBACKS = 3
"""Times that a run goes back to its best weights after too many non-finite steps."""


class Trainer:
    """Trains one fold into one run folder."""

    def __init__(self, config: Config, data: FoldData, run: RunFolder, machine: Machine):
        torch.manual_seed(config.runtime.seed)
        self.config, self.data, self.run, self.machine = config, data, run, machine
        self.steps_per_epoch = config.train.steps_per_epoch or max(
            1, len(data.train) // config.sampling.batch_size
        )
        layout = torch.channels_last_3d if config.runtime.channels_last else torch.contiguous_format
        network = build_model(config.model)
        initialise_output_bias(network, data.class_fractions)
        recompute_levels(network, config.runtime.recompute_levels)
        self.network = network.to(machine.device).to(memory_format=layout)  # type: ignore[call-overload]
        self.state = RunState(
            config, data.normalizer, run, self.network, self.steps_per_epoch, machine
        )
        self.compound = Compound(build_losses(config.loss, config.terms))
        seed = config.runtime.seed
        self.noise = WeightNoise(config.noise, self.network, seed) if config.noise else None
        self.places = machine.group.places(config.sampling.batch_size, config.runtime.accumulate)
        shared = machine.group.share_gradients(self.network)
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
        self.non_finite = NonFiniteWatch(machine.group)
        self.stop = StopRequest(machine.group)
        self.watch: Watch | None = None
        self.findings: tuple[Finding, ...] = ()
        self.notes: list[str] = []

    @property
    def progress(self) -> Progress:
        """Where the run stands."""
        return self.state.progress

    @property
    def position(self) -> Position:
        """Epoch, and steps of it that are done."""
        return self.progress.epoch, self.progress.step

    def resume(self, checkpoint: Checkpoint, *notes: str) -> None:
        """Continue from last.pt; the notes are said when the run goes on.

        Raises:
            InputError: The checkpoint does not fit.
        """
        said = self.state.restore(checkpoint)
        self.notes += [*notes, *([said] if said else [])]

    def fit(self) -> Progress:
        """Train until the epochs, the patience or the minutes are used up.

        Raises:
            InputError: Something the user gave is at fault, or the folder cannot be written.
            Interrupted: A signal came; everything is saved.
        """
        self.deadline = time.monotonic() + 60 * (self.config.runtime.max_minutes or float("inf"))
        config, data = self.config, self.data
        num_classes = config.labels.num_classes
        patch_size = config.sampling.patch_size
        maps = [data.normalizer.for_case(case.statistics) for case in data.validation]
        tiles = ValidationTiles(data.validation, maps, config.validation, patch_size, num_classes)
        if self.machine.group.leads and config.diagnosis.enabled:
            self.watch = Watch(config, data, tiles, self.machine, self.run.path)
        loader = self._loader()
        group = self.machine.group
        speaker = Telemetry(self.run.path, self.position) if group.leads else Silence(self.run.path)
        try:
            with self.stop, speaker as telemetry, group.guard(), explain_ended_workers():
                self._announce(telemetry)
                try:
                    end = self._epochs(loader, tiles, telemetry)
                except Interrupted as signal:
                    self._look_for_skipped(telemetry)
                    self.state.save_last()
                    epoch, step = self.position
                    end = f"Stopped by {signal} and saved at step {step}; --resume goes on"
                    telemetry.event((epoch, step), "stop", end)
                    telemetry.page()
                    raise Interrupted(f"{self.run.path}: epoch {epoch}: {end}") from None
                telemetry.event(self.position, "stop", end)
                telemetry.conclude(self.findings)
                best, epoch = self.progress.best_measure, self.progress.best_epoch
                telemetry.say(summary_line(config, self.run.path, best, epoch))
        finally:
            loader.close()
        return self.progress

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

    def _epochs(self, loader: PatchLoader, tiles: ValidationTiles, telemetry: Telemetry) -> str:
        """Train to the end; return why it is the end."""
        while self.progress.epoch < self.config.train.epochs:
            end = self._epoch(loader, tiles, telemetry)
            if end:
                return end
        return f"All {self.config.train.epochs} epochs done"

    def _epoch(
        self, loader: PatchLoader, tiles: ValidationTiles, telemetry: Telemetry
    ) -> str | None:
        """Train and judge one epoch; return why the run ends here, or None."""
        config, progress = self.config, self.progress
        epoch = progress.epoch
        weights = weights_at(config.phases, epoch, config.terms)
        self.stop.check()
        if progress.step == 0:
            self._before_epoch(epoch, weights, telemetry)
        row = self._train(loader, weights, telemetry)
        left = self.deadline - time.monotonic()
        if row["patches_per_second"]:
            telemetry.say(train_line(config, self.position, row, self.steps_per_epoch, left))
        row |= {f"weight/{name}": weight for name, weight in weights.items()}
        complete = progress.step == self.steps_per_epoch
        last = epoch + 1 == config.train.epochs
        due = complete and ((epoch + 1) % config.validation.every == 0 or last)
        end = None
        if not (due or self._time_is_over(last and complete)):
            telemetry.epoch(epoch, row)
        else:
            scored, columns = self._validate(epoch, weights, tiles, telemetry)
            telemetry.epoch(epoch, row | columns)
            self._explain(epoch, weights, telemetry)
            if due:
                self._judge(epoch, scored.measure, telemetry)
                end = self._patience_is_over(epoch)
            elif progress.best_measure is None:
                self.state.save("best", self.network, measure=scored.measure)
            telemetry.page()
        if complete:
            self.state.next_epoch()
        self.state.save_last()
        return end or self._time_is_over(last and complete)

    def _time_is_over(self, finished: bool) -> str | None:
        if finished or not self._any(time.monotonic() > self.deadline):
            return None
        minutes = self.config.runtime.max_minutes
        return f"Stopped after runtime.max_minutes={minutes}; --resume goes on"

    def _before_epoch(self, epoch: int, weights: dict[str, float], telemetry: Telemetry) -> None:
        index = phase_at(self.config.phases, epoch)
        if epoch == self.config.phases[index].epochs[0]:
            shown = ", ".join(f"{name} {weight:g}" for name, weight in weights.items() if weight)
            telemetry.event((epoch, 0), "phase", f"Phase {index + 1} begins: {shown}")
        std = self.noise.inject(self.network, epoch) if self.noise else None
        if std is not None:
            line = f"Weight noise injected, relative deviation {std:.2g}"
            telemetry.event((epoch, 0), "noise", line)

    def _train(self, loader: PatchLoader, weights: dict[str, float], telemetry: Telemetry) -> Row:
        """Run the rest of the epoch's steps, or as many as there is time for."""
        progress, epoch = self.progress, self.progress.epoch
        began, first = time.monotonic(), progress.step
        waited, lr = 0.0, self.state.schedule.lr
        self.network.train()
        with telemetry.progress(epoch, self.config.train.epochs, self.steps_per_epoch) as bar:
            show_rate(bar, 0.0, advance=first)
            batches = iter(loader.epoch(epoch, first))
            for step in range(first, self.steps_per_epoch):
                if step:  # before the first one, weight noise was added
                    self.stop.check()
                asked = time.monotonic()
                batch = next(batches)
                waited += time.monotonic() - asked
                lr = self._step(step, batch, weights)
                self._after_step(telemetry)
                seconds = time.monotonic() - began
                show_rate(bar, (progress.step - first) * self.config.sampling.batch_size / seconds)
                if self._any(time.monotonic() > self.deadline):
                    break
        self._look_for_skipped(telemetry)
        seconds = max(time.monotonic() - began, 1e-9)
        patches = (progress.step - first) * self.config.sampling.batch_size
        return {
            **self.state.sums.row(),
            "lr": lr,
            "seconds": seconds,
            "patches_per_second": patches / seconds,
            "loader_wait_share": waited / seconds,
            "skipped_steps": progress.skipped,
        }

    def _step(self, step: int, batch: Batch, weights: dict[str, float]) -> float:
        """Take one step of the epoch; return the learning rate it was taken with."""
        epoch = self.progress.epoch
        number = epoch * self.steps_per_epoch + step
        self.state.schedule.before_step(number)
        swa_lr = self.state.averages.learning_rate(epoch)
        if swa_lr is not None:
            self.state.schedule.override(swa_lr)
        lr = self.state.schedule.lr
        result = self.step(batch, weights)
        self.state.sums.add(result)
        self.state.sums.see(batch.label)
        self.non_finite.see(step, batch.cases, result)
        self.state.schedule.after_step(number)
        self.state.averages.after_step(self.network)
        self.progress.step = step + 1
        if self.progress.step == self.steps_per_epoch:
            self.state.averages.after_epoch(self.network, epoch)
        return lr

    def _after_step(self, telemetry: Telemetry) -> None:
        """Look for skipped steps and save within the epoch when they are due."""
        step = self.progress.step
        if step % _CHECK_EVERY == 0 or step == self.steps_per_epoch:
            self._look_for_skipped(telemetry)
            self._respect_limit(telemetry)
        minutes = (time.monotonic() - self.state.saved_at) / 60
        if self._any(minutes > self.config.checkpoint.every_minutes):
            self._look_for_skipped(telemetry)
            self.state.save_last()

    def _any(self, due: bool) -> bool:
        """Tell whether something is due in any process, whose clocks differ."""
        return self.machine.group.agree(due)[0]

    def _look_for_skipped(self, telemetry: Telemetry) -> None:
        for skipped in self.non_finite.look():
            self.progress.skipped += 1
            telemetry.event((self.progress.epoch, skipped.step), "non_finite", skipped.line)

    def _respect_limit(self, telemetry: Telemetry) -> None:
        """Stop or go back to the best weights when too many steps were skipped.

        Called at fixed steps only, so that when a run was saved changes nothing in it.
        """
        progress, limit = self.progress, self.config.train.non_finite_limit
        count = progress.skipped - progress.forgiven
        if count < limit:
            return
        possible = progress.best_measure is not None and progress.rollbacks < _ROLLBACKS
        if self.config.train.non_finite == "stop" or not possible:
            raise InputError(
                f"train.non_finite_limit: {count} steps had a non-finite loss or gradient, the "
                f"last in epoch {progress.epoch} ({self.run.path / 'train.log'} names step and "
                "case of each); lower optimizer.lr, or try runtime.precision=float32 "
                f"({self.run.checkpoint('best')} holds the best weights)"
            )
        progress.forgiven = progress.skipped
        progress.rollbacks += 1
        best, faults = self.state.go_back()
        for fault in faults:
            telemetry.say(fault)
        lr = self.state.schedule.multiply(0.5, cap=1.0)
        line = f"{count} steps skipped; rolled back to epoch {best}, learning rate now {lr:.3g}"
        telemetry.event((progress.epoch, progress.step - 1), "rollback", line)

    def _validate(
        self,
        epoch: int,
        weights: dict[str, float],
        tiles: ValidationTiles,
        telemetry: Telemetry,
    ) -> tuple[TileScores, Row]:
        """Score the weights and every average; changes nothing that training goes on with."""
        config, check = self.config, self.stop.check
        scored = tiles.score(self.network, self.compound, self.machine, check=check)
        telemetry.say(validation_line(epoch, scored, weights, config.validation.measure))
        row: Row = {f"val/{name}": value for name, value in scored.overlap.as_dict().items()}
        row |= {f"val/loss_{name}": value for name, value in scored.components.items()}
        for name, average in self.state.averages.started().items():
            judged = tiles.score(average, self.compound, self.machine, losses=False, check=check)
            row[f"val/{name}_{config.validation.measure}"] = judged.measure
            self.state.save(name, average, measure=judged.measure)
        every = config.validation.full_every
        if every and (epoch + 1) % every == 0:
            overlap = score_volumes(self.network, self.data, config, self.machine, check)
            row["val/full_dice"] = overlap.dice
            telemetry.say(f"Epoch {epoch} Full volumes - Dice: {overlap.dice:.4f}")
        if self.machine.group.leads:
            pictures = slices(tiles, self.network, self.machine)
            pictures.write(self.run.path / "slices.npz", config.validation.threshold)
            telemetry.pictures(epoch, pictures)
        return scored, row

    def _explain(self, epoch: int, weights: dict[str, float], telemetry: Telemetry) -> None:
        """Look for what may be wrong with the run, while its weights are those validated."""
        if self.watch is None:
            return
        with telemetry.aside("Diagnosis"):
            self.findings = self.watch.observe(epoch, self.network, self.compound, weights)
            telemetry.findings(epoch, self.findings)

    def _judge(self, epoch: int, measure: float, telemetry: Telemetry) -> None:
        """Best, plateau schedule and plateau escape, in this order."""
        progress = self.progress
        if progress.best_measure is None or measure > progress.best_measure:
            # A kill after best.pt is written must not find a last.pt from long before it.
            self.state.save_last()
            progress.best_measure, progress.best_epoch = measure, epoch
            self.state.save("best", self.network, measure=measure)
        lr = self.state.schedule.lr
        self.state.schedule.after_validation(measure, (epoch + 1) * self.steps_per_epoch)
        if self.state.schedule.lr < lr:
            line = f"Learning rate cut from {lr:.3g} to {self.state.schedule.lr:.3g} on a plateau"
            telemetry.event(self.position, "learning_rate", line)
        escape = self.state.plateau.observe(measure) if self.state.plateau else None
        if escape is None:
            return
        assert self.config.plateau is not None
        best, faults = self.state.go_back()
        for fault in faults:
            telemetry.say(fault)
        lr = self.state.schedule.multiply(escape.multiplier, self.config.plateau.cap)
        telemetry.event(
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

    def _announce(self, telemetry: Telemetry) -> None:
        config, steps = self.config, self.steps_per_epoch
        telemetry.say(start_line(config, self.run.path, self.network, self.data, steps))
        telemetry.say(str(self.machine))
        if self.position != (0, 0):
            line = " ".join(["Resumed at step", f"{self.progress.step}.", *self.notes])
            telemetry.event(self.position, "resume", line)

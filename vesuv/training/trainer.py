"""The training loop: epochs of steps, a fixed measure, and the policies that listen to it.

What is unusual here: the scheduler, early stopping, plateau escape and "best" all watch one number,
the masked overlap on fixed tiles (`tiles.py`), never a loss, because the loss becomes another
function at each change of phase. Patches and noise are pure functions of seed, epoch and step, so a
run's whole random state is its position.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vesuv.config import Config
from vesuv.errors import InputError
from vesuv.losses import build_losses
from vesuv.losses.compound import Compound
from vesuv.models import build_model, recompute_levels
from vesuv.models.heads import initialise_output_bias
from vesuv.training.averaging import Averages
from vesuv.training.checkpoints import (
    Checkpoint,
    load_weights,
    read_checkpoint,
    write_checkpoint,
)
from vesuv.training.fold_data import FoldData
from vesuv.training.full_volumes import score_volumes
from vesuv.training.loader import PatchLoader
from vesuv.training.machine import Machine
from vesuv.training.noise import WeightNoise
from vesuv.training.phases import phase_at, weights_at
from vesuv.training.plateau import PlateauEscape
from vesuv.training.run import RunFolder
from vesuv.training.schedules import Schedule
from vesuv.training.step import StepResult, TrainingStep, build_optimizer, forget_moments
from vesuv.training.telemetry import Telemetry, show_rate
from vesuv.training.tiles import TileScores, ValidationTiles

Row = dict[str, float | int | None]
_CHECK_EVERY = 10
"""Steps between two looks at the count of skipped steps: each makes the host wait once."""


@dataclass
class Progress:
    """Where the run stands; everything else that resumes has its own state."""

    epoch: int = 0
    step: int = 0
    best_measure: float | None = None
    best_epoch: int = 0
    skipped: int = 0


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
        self.optimizer = build_optimizer(self.network, config.optimizer)
        self.schedule = Schedule(
            self.optimizer,
            config.scheduler,
            steps_per_epoch=self.steps_per_epoch,
            epochs=config.train.epochs,
        )
        self.compound = Compound(build_losses(config.loss, config.terms))
        self.averages = Averages(self.network, config.averaging)
        seed = config.runtime.seed
        self.noise = WeightNoise(config.noise, self.network, seed) if config.noise else None
        self.plateau = PlateauEscape(config.plateau) if config.plateau else None
        self.step = TrainingStep(
            torch.compile(self.network) if config.runtime.compile else self.network,
            list(self.network.parameters()),
            self.optimizer,
            self.compound,
            machine,
            gradient_clip=config.train.gradient_clip,
            accumulate=config.runtime.accumulate,
            memory_format=layout,
        )
        self.progress = Progress()

    def fit(self) -> Progress:
        """Train until the epochs, the patience or the minutes are used up."""
        self.deadline = time.monotonic() + 60 * (self.config.runtime.max_minutes or float("inf"))
        config, data = self.config, self.data
        num_classes = config.labels.num_classes
        patch_size = config.sampling.patch_size
        maps = [data.normalizer.for_case(case.statistics) for case in data.validation]
        tiles = ValidationTiles(data.validation, maps, config.validation, patch_size, num_classes)
        loader = PatchLoader(
            data.train,
            [data.normalizer.for_case(case.statistics) for case in data.train],
            config.sampling,
            config.augment,
            seed=config.runtime.seed,
            steps_per_epoch=self.steps_per_epoch,
            workers=self.machine.workers,
            augment_on=self.machine.augment_on,
            device=self.machine.device,
            num_classes=num_classes,
        )
        try:
            with Telemetry(self.run.path, self.progress.epoch) as telemetry:
                self._announce(telemetry)
                while self.progress.epoch < config.train.epochs:
                    end = self._epoch(loader, tiles, telemetry)
                    if end:
                        telemetry.say(end)
                        break
                else:
                    telemetry.say(f"All {config.train.epochs} epochs done")
                telemetry.say(self._summary())
        finally:
            loader.close()
        return self.progress

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from last.pt: weights, optimiser, schedule, averages, policies, position."""
        state = checkpoint.training
        if state is None:
            raise InputError(f"{checkpoint.path}: holds no training state; resume from last.pt")
        load_weights(self.network, checkpoint)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.restore(state["schedule"])
        self.averages.restore(state["averages"])
        if self.plateau is not None:
            self.plateau.restore(state["plateau"])
        self.progress = Progress(**state["progress"])

    def _epoch(
        self, loader: PatchLoader, tiles: ValidationTiles, telemetry: Telemetry
    ) -> str | None:
        """Train and judge one epoch; return why the run ends here, or None."""
        config, progress = self.config, self.progress
        epoch = progress.epoch
        weights = weights_at(config.phases, epoch, config.terms)
        if progress.step == 0:
            self._before_epoch(epoch, weights, telemetry)
        row = self._train(loader, weights, telemetry)
        telemetry.say(self._train_line(row))
        row |= {f"weight/{name}": weight for name, weight in weights.items()}
        complete = progress.step == self.steps_per_epoch
        if complete:
            self.averages.after_epoch(self.network, epoch)
        last = epoch + 1 == config.train.epochs
        out_of_time = f"Stopped after runtime.max_minutes={config.runtime.max_minutes}"
        end = None if complete else f"{out_of_time}; --resume goes on"
        if (epoch + 1) % config.validation.every == 0 or last or end:
            row |= self._validate(epoch, weights, tiles, telemetry)
            end = end or self._patience_is_over(epoch)
        telemetry.epoch(epoch, row)
        if complete:
            progress.epoch, progress.step = epoch + 1, 0
            every = config.checkpoint.every_epochs
            if every and (epoch + 1) % every == 0:
                self._save(f"epoch_{epoch:04d}", epoch, self.network)
        self._save("last", epoch, self.network, training=self._state())
        if end is None and not last and time.monotonic() > self.deadline:
            end = f"{out_of_time}; --resume goes on"
        return end

    def _before_epoch(self, epoch: int, weights: dict[str, float], telemetry: Telemetry) -> None:
        index = phase_at(self.config.phases, epoch)
        if epoch == self.config.phases[index].epochs[0]:
            shown = ", ".join(f"{name} {weight:g}" for name, weight in weights.items() if weight)
            telemetry.event(epoch, "phase", f"Phase {index + 1} begins: {shown}")
        std = self.noise.inject(self.network, epoch) if self.noise else None
        if std is not None:
            telemetry.event(epoch, "noise", f"Weight noise injected, relative deviation {std:.2g}")

    def _train(self, loader: PatchLoader, weights: dict[str, float], telemetry: Telemetry) -> Row:
        """Run the rest of the epoch's steps, or as many as there is time for."""
        progress, epoch = self.progress, self.progress.epoch
        sums = _Sums(self.machine.device)
        began = time.monotonic()
        waited, lr = 0.0, self.schedule.lr
        first = progress.step
        swa_lr = self.averages.learning_rate(epoch)
        self.network.train()
        with telemetry.progress(epoch, self.config.train.epochs, self.steps_per_epoch) as bar:
            show_rate(bar, 0.0, advance=first)
            batches = iter(loader.epoch(epoch, first))
            for step in range(first, self.steps_per_epoch):
                asked = time.monotonic()
                batch = next(batches)
                waited += time.monotonic() - asked
                number = epoch * self.steps_per_epoch + step
                self.schedule.before_step(number)
                if swa_lr is not None:
                    self.schedule.override(swa_lr)
                lr = self.schedule.lr
                sums.add(self.step(batch, weights))
                self.schedule.after_step(number)
                self.averages.after_step(self.network)
                progress.step = step + 1
                if progress.step % _CHECK_EVERY == 0 or progress.step == self.steps_per_epoch:
                    self._check_finite(sums)
                seconds = time.monotonic() - began
                show_rate(bar, (progress.step - first) * batch.image.shape[0] / seconds)
                if time.monotonic() > self.deadline:
                    break
        progress.skipped += int(sums.skipped)
        seconds = time.monotonic() - began
        patches = (progress.step - first) * self.config.sampling.batch_size
        return sums.means() | {
            "lr": lr,
            "seconds": seconds,
            "patches_per_second": patches / seconds,
            "loader_wait_share": waited / seconds,
            "skipped_steps": progress.skipped,
        }

    def _check_finite(self, sums: _Sums) -> None:
        skipped, limit = self.progress.skipped + int(sums.skipped), self.config.train
        if skipped >= limit.non_finite_limit:
            raise InputError(
                f"train.non_finite_limit: {skipped} steps had a non-finite loss or gradient, the "
                f"last in epoch {self.progress.epoch}; lower optimizer.lr, or try "
                f"runtime.precision=float32 ({self.run.checkpoint('best')} holds the best weights)"
            )

    def _validate(
        self,
        epoch: int,
        weights: dict[str, float],
        tiles: ValidationTiles,
        telemetry: Telemetry,
    ) -> Row:
        """Score the weights and every average; let schedule and policies see the measure."""
        scored = tiles.score(self.network, self.compound, self.machine)
        telemetry.say(_validation_line(epoch, scored, weights, self.config.validation.measure))
        row: Row = {f"val/{name}": value for name, value in scored.overlap.as_dict().items()}
        row |= {f"val/loss_{name}": value for name, value in scored.components.items()}
        for name, average in self.averages.started().items():
            judged = tiles.score(average, self.compound, self.machine, losses=False)
            row[f"val/{name}_{self.config.validation.measure}"] = judged.measure
            self._save(name, epoch, average, measure=judged.measure)
        every = self.config.validation.full_every
        if every and (epoch + 1) % every == 0:
            overlap = score_volumes(self.network, self.data, self.config, self.machine)
            row["val/full_dice"] = overlap.dice
            telemetry.say(f"Epoch {epoch} Full volumes - Dice: {overlap.dice:.4f}")
        telemetry.picture(
            epoch, ("image", "label", "probability"), tiles.picture(self.network, self.machine)
        )
        self._judge(epoch, scored.measure, telemetry)
        return row

    def _judge(self, epoch: int, measure: float, telemetry: Telemetry) -> None:
        """Best, plateau schedule and plateau escape, in this order."""
        progress = self.progress
        if progress.best_measure is None or measure > progress.best_measure:
            progress.best_measure, progress.best_epoch = measure, epoch
            self._save("best", epoch, self.network, measure=measure)
        self.schedule.after_validation(measure, (epoch + 1) * self.steps_per_epoch)
        escape = self.plateau.observe(measure) if self.plateau else None
        if escape is None:
            return
        assert self.config.plateau is not None
        best = read_checkpoint(self.run.checkpoint("best"))
        load_weights(self.network, best)
        forget_moments(self.optimizer)
        lr = self.schedule.multiply(escape.multiplier, self.config.plateau.cap)
        telemetry.event(
            epoch,
            "escape",
            f"Adaptive intervention {escape.number}: {escape.reason}; rolled back to epoch "
            f"{best.epoch}, learning rate now {lr:.3g}",
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

    def _save(
        self,
        name: str,
        epoch: int,
        network: nn.Module,
        *,
        measure: float | None = None,
        training: dict[str, Any] | None = None,
    ) -> None:
        write_checkpoint(
            self.run.checkpoint(name),
            model=network.state_dict(),
            config=self.config,
            normalizer=self.data.normalizer,
            epoch=epoch,
            measure=measure,
            training=training,
        )

    def _state(self) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state(),
            "averages": self.averages.state(),
            "plateau": self.plateau.state() if self.plateau else None,
            "progress": vars(self.progress).copy(),
        }

    def _announce(self, telemetry: Telemetry) -> None:
        count = sum(p.numel() for p in self.network.parameters())
        cases = f"{len(self.data.train)} training, {len(self.data.validation)} validation cases"
        telemetry.say(
            f"{self.config.name} into {self.run.path}: {count:,} parameters, {cases}, "
            f"{self.config.train.epochs} epochs of {self.steps_per_epoch} steps"
        )
        telemetry.say(str(self.machine))
        if self.progress.epoch or self.progress.step:
            telemetry.say(f"Resumed at epoch {self.progress.epoch}, step {self.progress.step}")

    def _train_line(self, row: Row) -> str:
        done = self.progress.epoch * self.steps_per_epoch + self.progress.step
        total = self.config.train.epochs * self.steps_per_epoch
        size, rate = self.config.sampling.batch_size, row["patches_per_second"]
        left = min((total - done) * size / (rate or 1), self.deadline - time.monotonic())
        return (
            f"Epoch {self.progress.epoch} Train - Loss: {row['train/loss']:.4f} "
            f"lr: {row['lr']:.3g} {rate:.2f} patches/s, {max(0.0, left) / 60:.1f} min left"
        )

    def _summary(self) -> str:
        best = self.progress.best_measure
        if best is None:
            return "No validation took place"
        measure = self.config.validation.measure
        return (
            f"Best {measure} {best:.4f} at epoch {self.progress.best_epoch}; next: "
            f"python bin/validate_distribution.py --run {self.run.path}"
        )


class _Sums:
    """Sums of an epoch's steps on the device; skipped steps are left out."""

    def __init__(self, device: torch.device) -> None:
        self.skipped = torch.zeros((), device=device)
        self.taken = torch.zeros((), device=device)
        self.totals: dict[str, Tensor] = {}

    def add(self, result: StepResult) -> None:
        values = {"loss": result.loss, "gradient_norm": result.gradient_norm}
        values |= {f"loss_{name}": value for name, value in result.components.items()}
        self.skipped = self.skipped + result.skipped
        self.taken = self.taken + (1 - result.skipped)
        for name, value in values.items():
            kept = torch.where(result.skipped > 0, torch.zeros_like(value), value)
            self.totals[name] = self.totals.get(name, torch.zeros_like(value)) + kept

    def means(self) -> Row:
        taken = max(1.0, float(self.taken))
        return {f"train/{name}": float(total) / taken for name, total in self.totals.items()}


def _validation_line(
    epoch: int, scored: TileScores, weights: dict[str, float], measure: str
) -> str:
    """`Epoch 6 Val - Loss: 0.4024 (dice: 0.4024, …)`, then what the loss does not say."""
    total = sum(weights[name] * value for name, value in scored.components.items())
    parts = ", ".join(f"{name}: {value:.4f}" for name, value in scored.components.items())
    overlap = scored.overlap
    return (
        f"Epoch {epoch} Val - Loss: {total:.4f} ({parts}) {measure}: {scored.measure:.4f} "
        f"precision: {overlap.precision:.4f} recall: {overlap.recall:.4f} foreground: "
        f"{overlap.predicted_fraction:.4f} labelled: {overlap.labelled_fraction:.4f}"
    )

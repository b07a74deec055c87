"""The state of a run: saved in last.pt, restored by --resume, reset in part by a rollback."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from torch import nn

from vesuv.config import Config
from vesuv.errors import InputError
from vesuv.runs.checkpoints import (
    Checkpoint,
    load_weights,
    previous_path,
    read_checkpoint,
    stored_epoch,
    write_checkpoint,
)
from vesuv.runs.folder import RunFolder
from vesuv.runs.writer import Position
from vesuv.runtime.machine import Machine
from vesuv.training.averaging import Averages
from vesuv.training.epoch_metrics import EpochMetrics
from vesuv.training.optimizers import build_optimizer, reset_moments
from vesuv.training.plateau_escape import PlateauEscape
from vesuv.training.pretrained import LoadedWeights, PretrainedWeights, load_pretrained
from vesuv.training.saved_state import RunLength, check_saved_state
from vesuv.training.schedules.lr_schedule import LRSchedule
from vesuv.transforms.normalize import Normalizer

_CHECKPOINT_KEYS = {"skipped_steps": "skipped", "skipped_before_rollback": "forgiven"}
"""Field of `TrainProgress` -> its key in checkpoints, where the two differ."""


@dataclass
class TrainProgress:
    """Position, best measure and counters of a run."""

    epoch: int = 0
    step: int = 0
    """Number of finished steps of the epoch."""
    best_measure: float | None = None
    best_epoch: int = 0
    skipped_steps: int = 0
    """Steps of the whole run that were skipped for a non-finite loss or gradient."""
    skipped_before_rollback: int = 0
    """Skipped steps before the last rollback, which no longer count for the limit."""
    rollbacks: int = 0

    @property
    def position(self) -> Position:
        """Epoch, and number of its finished steps."""
        return self.epoch, self.step

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {_CHECKPOINT_KEYS.get(name, name): value for name, value in vars(self).items()}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> TrainProgress:
        """Return the progress of a checkpoint's `state()`."""
        names = {key: name for name, key in _CHECKPOINT_KEYS.items()}
        return cls(**{names.get(key, key): value for key, value in state.items()})


class TrainState:
    """Weights, optimiser, schedule, averages, plateau escape, progress and the epoch's metrics.

    It is complete after every step: a run that is resumed from there equals an uninterrupted one.
    """

    def __init__(
        self,
        config: Config,
        normalizer: Normalizer,
        run: RunFolder,
        network: nn.Module,
        steps_per_epoch: int,
        machine: Machine,
    ) -> None:
        self.config, self.normalizer, self.run = config, normalizer, run
        self.network, self.machine = network, machine
        self.steps_per_epoch = steps_per_epoch
        self.optimizer = build_optimizer(network, config.optimizer)
        self.lr_schedule = LRSchedule(
            self.optimizer,
            config.scheduler,
            steps_per_epoch=steps_per_epoch,
            epochs=config.train.epochs,
            validation_every=config.validation.every,
        )
        self.averages = Averages(network, config.averaging)
        self.plateau_escape = (
            PlateauEscape(config.plateau, config.validation.every) if config.plateau else None
        )
        self.progress = TrainProgress()
        self.epoch_metrics = EpochMetrics(machine.device, machine.group)
        self.saved_at = time.monotonic()
        self.pretrained_lines: list[str] = []
        """Sentences for the log about the weights that the run starts from."""

    def start_from(self, pretrained: PretrainedWeights) -> LoadedWeights:
        """Start with the pretrained weights that fit, also in the averages.

        Raises:
            InputError: None fits.
        """
        loaded = load_pretrained(
            self.network,
            pretrained,
            task=self.config.train.task,
            layers=self.config.train.pretrained_layers,
        )
        self.averages = Averages(self.network, self.config.averaging)
        self.pretrained_lines = loaded.lines(self.config)
        return loaded

    def save(
        self,
        name: str,
        network: nn.Module,
        *,
        measure: float | None = None,
        resumable: bool = False,
    ) -> None:
        """Write a network's weights as checkpoints/<name>.pt, in the main process only.

        Args:
            name: Name of the checkpoint.
            network: The network.
            measure: Its validation measure.
            resumable: Write the state of the run too.
        """
        if self.machine.group.is_main:
            path = self.run.checkpoint(name)
            # A resumed run repeats an epoch whose best.pt may have been written before the kill.
            is_repeated = name == "best" and stored_epoch(path) == self.progress.epoch
            is_between_epochs = resumable and self.progress.step == 0
            write_checkpoint(
                path,
                model=network.state_dict(),
                config=self.config,
                normalizer=self.normalizer,
                epoch=max(0, self.progress.epoch - is_between_epochs),  # the last one trained
                measure=measure,
                training=self._state() if resumable else None,
                keep_previous=name in ("best", "last") and not is_repeated,
            )
        self.machine.group.wait()

    def save_last(self) -> None:
        """Write last.pt, from which --resume continues."""
        self.save("last", self.network, resumable=True)
        self.saved_at = time.monotonic()

    def next_epoch(self) -> None:
        """Move to the next epoch; write epoch_<n>.pt of this one if it is due."""
        every = self.config.checkpoint.every_epochs
        if every and (self.progress.epoch + 1) % every == 0:
            self.save(f"epoch_{self.progress.epoch:04d}", self.network)
        self.progress.epoch, self.progress.step = self.progress.epoch + 1, 0
        self.epoch_metrics = EpochMetrics(self.machine.device, self.machine.group)

    def restore(self, checkpoint: Checkpoint) -> str | None:
        """Continue from last.pt.

        The configuration may have a new number of epochs: plateau and cosine schedules do not
        depend on it, poly continues on the curve of the new number.

        Returns:
            A sentence on the effect of a new number of epochs; None if it is the same.

        Raises:
            InputError: The checkpoint has no training state, or that of another network.
        """
        state = checkpoint.training
        if state is None:
            raise InputError(f"{checkpoint.path}: holds no training state; resume from last.pt")
        old_epochs, epochs = checkpoint.config.train.epochs, self.config.train.epochs
        length = RunLength(max(old_epochs, epochs), self.steps_per_epoch)
        try:
            checked = check_saved_state(state, self._state(), self.optimizer, length)
        except ValueError as fault:
            reason = " ".join(str(fault).split())
            raise InputError(
                f"{checkpoint.path}: its training state is not this run's ({reason:.160}); start "
                "a new run"
            ) from None
        load_weights(self.network, checkpoint)
        self._restore_parts(checked, new_length=old_epochs != epochs)
        if old_epochs == epochs:
            return None
        name, lr = self.config.scheduler.name, self.lr_schedule.lr
        effect = "follows the curve of the new number" if name == "poly" else "goes on as it was"
        return (
            f"train.epochs is {epochs}, was {old_epochs}: the {name} schedule {effect}, at {lr:.3g}"
        )

    def _restore_parts(self, state: dict[str, Any], *, new_length: bool) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.lr_schedule.restore(state["schedule"], new_length=new_length)
        self.averages.restore(state["averages"])
        if self.plateau_escape is not None:
            self.plateau_escape.restore(state["plateau"])
        self.progress = TrainProgress.of_state(state["progress"])
        if state["sums"] is not None:
            self.epoch_metrics.restore(state["sums"])

    def roll_back(self) -> tuple[int, list[str]]:
        """Load the best weights, reset the moments, and start the averages anew from these weights.

        EMA and SWA forget all they hold, the epochs up to the best one included: a mean cannot be
        divided again. Files of averages that were scored before stay until the next validation.

        A resumed run can be older than its best.pt; then the checkpoint before best.pt is loaded.
        Only the main process reads the file, since other machines may not have the newest one yet;
        the other processes copy its weights.

        Returns:
            Epoch of the weights, and the errors of unreadable checkpoints.

        Raises:
            InputError: No best checkpoint can be read.
        """
        group = self.machine.group
        result = self._load_best() if group.is_main else (0, [])
        group.broadcast_weights(self.network)
        reset_moments(self.optimizer)
        self.averages = Averages(self.network, self.config.averaging)
        main_result: tuple[int, list[str]] = group.gather_objects(result)[0]
        return main_result

    def _load_best(self) -> tuple[int, list[str]]:
        path = self.run.checkpoint("best")
        checkpoints: list[Checkpoint] = []
        faults: list[str] = []
        for candidate in (path, previous_path(path)):
            try:
                checkpoints.append(read_checkpoint(candidate))
            except InputError as fault:
                faults.append(str(fault))
        if not checkpoints:
            raise InputError(f"{faults[0]} (rolling back needs it)")
        best_measure = self.progress.best_measure
        best = next((c for c in checkpoints if c.measure == best_measure), checkpoints[0])
        load_weights(self.network, best)
        return best.epoch, faults if best is checkpoints[-1] else []

    def _state(self) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.lr_schedule.state(),
            "averages": self.averages.state(),
            "plateau": self.plateau_escape.state() if self.plateau_escape else None,
            "progress": self.progress.state(),
            "sums": self.epoch_metrics.state() if self.progress.step else None,
        }

"""Everything that a run goes on with: what last.pt holds, and what a rollback goes back to."""

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
    write_checkpoint,
)
from vesuv.runs.folder import RunFolder
from vesuv.runtime.machine import Machine
from vesuv.training.averaging import Averages
from vesuv.training.epoch_sums import EpochSums
from vesuv.training.escape import PlateauEscape
from vesuv.training.optimizers import build_optimizer, forget_moments
from vesuv.training.schedules.schedule import Schedule
from vesuv.transforms.normalize import Normalizer


@dataclass
class TrainProgress:
    """Where the run stands; everything else that resumes has its own state."""

    epoch: int = 0
    step: int = 0
    """Steps of the epoch that are done."""
    best_measure: float | None = None
    best_epoch: int = 0
    skipped: int = 0
    """Steps skipped for a non-finite loss or gradient, in the whole run."""
    forgiven: int = 0
    """How many of them lie before the last rollback."""
    rollbacks: int = 0


class TrainState:
    """Weights, optimiser, schedule, averages, plateau escape, position and the epoch's sums.

    It is whole after every step, so a run saved there goes on as if it had never stopped.
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
        self.optimizer = build_optimizer(network, config.optimizer)
        self.schedule = Schedule(
            self.optimizer,
            config.scheduler,
            steps_per_epoch=steps_per_epoch,
            epochs=config.train.epochs,
            validation_every=config.validation.every,
        )
        self.averages = Averages(network, config.averaging)
        self.escape = (
            PlateauEscape(config.plateau, config.validation.every) if config.plateau else None
        )
        self.progress = TrainProgress()
        self.sums = EpochSums(machine.device, machine.group)
        self.saved_at = time.monotonic()

    def save(
        self, name: str, network: nn.Module, *, measure: float | None = None, whole: bool = False
    ) -> None:
        """Write a network's weights as checkpoints/<name>.pt; `whole`: with all of the state.

        Of processes that train together the first writes; all may read the file afterwards.
        """
        if self.machine.group.is_main:
            write_checkpoint(
                self.run.checkpoint(name),
                model=network.state_dict(),
                config=self.config,
                normalizer=self.normalizer,
                epoch=self.progress.epoch,
                measure=measure,
                training=self._content() if whole else None,
                keep_previous=name in ("best", "last"),
            )
        self.machine.group.wait()

    def save_last(self) -> None:
        """Write last.pt, from which --resume goes on."""
        self.save("last", self.network, whole=True)
        self.saved_at = time.monotonic()

    def next_epoch(self) -> None:
        """Stand at the first step of the next epoch; keep this one's weights when they are due."""
        every = self.config.checkpoint.every_epochs
        if every and (self.progress.epoch + 1) % every == 0:
            self.save(f"epoch_{self.progress.epoch:04d}", self.network)
        self.progress.epoch, self.progress.step = self.progress.epoch + 1, 0
        self.sums = EpochSums(self.machine.device, self.machine.group)

    def restore(self, checkpoint: Checkpoint) -> str | None:
        """Continue from last.pt.

        A run given more epochs goes on with its schedule: plateau and cosine do not depend on their
        number, poly follows the curve of the new number from the first step on.

        Returns:
            What a new number of epochs means; None when it is the same.

        Raises:
            InputError: The checkpoint holds weights alone, or another network's.
        """
        state = checkpoint.training
        if state is None:
            raise InputError(f"{checkpoint.path}: holds no training state; resume from last.pt")
        load_weights(self.network, checkpoint)
        before, now = checkpoint.config.train.epochs, self.config.train.epochs
        try:
            self._restore_parts(state, new_length=before != now)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as fault:
            reason = " ".join(str(fault).split())
            raise InputError(
                f"{checkpoint.path}: its training state is not this run's ({reason:.160}); start "
                "a new run"
            ) from None
        if before == now:
            return None
        name, lr = self.config.scheduler.name, self.schedule.lr
        meaning = "follows the curve of the new number" if name == "poly" else "goes on as it was"
        return f"train.epochs is {now}, was {before}: the {name} schedule {meaning}, at {lr:.3g}"

    def _restore_parts(self, state: dict[str, Any], *, new_length: bool) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.restore(state["schedule"], new_length=new_length)
        self.averages.restore(state["averages"])
        if self.escape is not None:
            self.escape.restore(state["plateau"])
        self.progress = TrainProgress(**state["progress"])
        if state["sums"] is not None:
            self.sums.restore(state["sums"])

    def go_back(self) -> tuple[int, list[str]]:
        """Load the best weights and forget the moments.

        A best.pt that a resumed run has yet to reach again is passed over for the one before it. Of
        several processes the first reads and the others copy its weights: another machine may not
        see the newest file yet.

        Returns:
            The epoch that the weights are from, and what was wrong with files that were not used.

        Raises:
            InputError: No best checkpoint can be read.
        """
        group = self.machine.group
        answer = self._load_best() if group.is_main else (0, [])
        group.broadcast_weights(self.network)
        forget_moments(self.optimizer)
        said: tuple[int, list[str]] = group.gather_objects(answer)[0]
        return said

    def _load_best(self) -> tuple[int, list[str]]:
        path = self.run.checkpoint("best")
        found: list[Checkpoint] = []
        faults: list[str] = []
        for candidate in (path, previous_path(path)):
            try:
                found.append(read_checkpoint(candidate))
            except InputError as fault:
                faults.append(str(fault))
        if not found:
            raise InputError(f"{faults[0]} (rolling back needs it)")
        wanted = self.progress.best_measure
        best = next((one for one in found if one.measure == wanted), found[0])
        load_weights(self.network, best)
        return best.epoch, faults if best is found[-1] else []

    def _content(self) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state(),
            "averages": self.averages.state(),
            "plateau": self.escape.state() if self.escape else None,
            "progress": vars(self.progress).copy(),
            "sums": self.sums.state() if self.progress.step else None,
        }

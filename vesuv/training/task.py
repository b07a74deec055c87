"""What the network of a run learns: its loss, and the validation that judges it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from vesuv.config import Config
from vesuv.diagnosis import Finding
from vesuv.models.heads import initialise_output_bias
from vesuv.runtime.machine import Machine
from vesuv.training.epoch_validation import EpochValidation
from vesuv.training.fold_data import FoldData
from vesuv.training.log_lines import absent_classes_lines, summary_line
from vesuv.training.network import build_compound, build_training_network
from vesuv.training.phases import phase_at, weights_at
from vesuv.training.reporting import MetricsRow, Reporter
from vesuv.training.step import label_objective
from vesuv.training.train_state import TrainState
from vesuv.training.validation import TileScores
from vesuv.transforms.collate import Batch

LossWeights = dict[str, float]
"""Weight of each loss term in an epoch."""


class Validation(Protocol):
    """Validation after an epoch; see `EpochValidation`."""

    findings: tuple[Finding, ...]

    def start_monitor(self, reporter: Reporter) -> None: ...

    def score(
        self, epoch: int, weights: LossWeights, reporter: Reporter
    ) -> tuple[TileScores, MetricsRow]: ...

    def diagnose(
        self, epoch: int, scores: TileScores, weights: LossWeights, reporter: Reporter
    ) -> None: ...


class Task(Protocol):
    """What the network of a run learns."""

    @property
    def measure(self) -> str:
        """Name of the measure of the schedule, early stopping and the best checkpoint."""

    def build_network(self) -> nn.Module:
        """Return the network with its initial weights."""

    def weights(self, epoch: int) -> LossWeights:
        """Return the weight of each loss term in an epoch."""

    def step_weights(self, weights: LossWeights, global_step: int) -> LossWeights:
        """Return the weights of one step of an epoch with these weights."""

    def data_lines(self) -> list[str]:
        """Return what train.log says of the data at the start."""

    def start_line(self, epoch: int) -> str | None:
        """Return a sentence where other losses begin with this epoch."""

    def batch(self, batch: Batch, epoch: int, step: int) -> Batch:
        """Return what the network is shown of a step's patches."""

    def loss(
        self, scales: list[Tensor], batch: Batch, weights: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, and its terms, unweighted and detached.

        Args:
            scales: Output of the network on this process's patches, finest first.
            batch: These patches.
            weights: Weight of each loss term.
        """

    def validation(self, state: TrainState, check_stop: Callable[[], None]) -> Validation:
        """Return the validation of a run's weights.

        Args:
            state: Weights and averages.
            check_stop: Called during validation; raises Interrupted to end it.
        """

    def summary(self, run: Path, best: float | None, best_epoch: int) -> str:
        """Return the line at the end of the run: best measure and epoch, and the next command."""


class Segmentation:
    """The labels of the training patches, by the losses of the phases."""

    def __init__(self, config: Config, data: FoldData, machine: Machine) -> None:
        self.config, self.data, self.machine = config, data, machine
        self.compound = build_compound(config, [case.spacing for case in data.train])
        self.objective = label_objective(self.compound, machine.group)

    @property
    def measure(self) -> str:
        return self.config.validation.measure

    def build_network(self) -> nn.Module:
        network = build_training_network(self.config)
        initialise_output_bias(network, self.data.class_fractions, self.config.labels.targets)
        return network

    def weights(self, epoch: int) -> LossWeights:
        return weights_at(self.config.phases, epoch, self.config.terms)

    def step_weights(self, weights: LossWeights, global_step: int) -> LossWeights:
        return self.compound.step_weights(weights, global_step)

    def data_lines(self) -> list[str]:
        return absent_classes_lines(self.config, self.data)

    def start_line(self, epoch: int) -> str | None:
        index = phase_at(self.config.phases, epoch)
        if epoch != self.config.phases[index].epochs[0]:
            return None
        terms = ", ".join(f"{name} {w:g}" for name, w in self.weights(epoch).items() if w)
        return f"Phase {index + 1} begins: {terms}"

    def batch(self, batch: Batch, _epoch: int, _step: int) -> Batch:
        return batch

    def loss(
        self, scales: list[Tensor], batch: Batch, weights: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return self.objective(scales, batch, weights)

    def validation(self, state: TrainState, check_stop: Callable[[], None]) -> Validation:
        return EpochValidation(
            self.config, self.data, state, self.compound, self.machine, check_stop
        )

    def summary(self, run: Path, best: float | None, best_epoch: int) -> str:
        held_out = self.data.is_held_out
        return summary_line(self.config, run, best, best_epoch, held_out=held_out)

"""Sections that say how it is trained, watched, selected and run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from vesuv.config.data import Cut, Positive, Probability, Size
from vesuv.config.postprocess import Chain
from vesuv.config.registry import Registry
from vesuv.config.section import Section

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

Epochs = Annotated[int, Field(ge=0)]


class TrainConfig(Section):
    epochs: Size = 300
    """Epochs of the whole run."""
    steps_per_epoch: Size | None = 250
    """Optimiser steps in one epoch; null: as many as show one patch of each training case."""
    gradient_clip: Positive | None = 2.0
    """Largest gradient norm; null: no clipping."""
    non_finite_limit: Size = 20
    """Steps with a non-finite loss or gradient that are skipped before `non_finite` happens."""
    non_finite: Literal["stop", "rollback"] = "stop"
    """After that: stop, or return to the best weights with half the learning rate (three times)."""


class OptimizerConfig(Section, ABC):
    """Base of all optimisers' sections; each builds one of torch.optim."""

    name: str
    lr: Positive
    """Learning rate after warm-up."""
    weight_decay: float = Field(ge=0.0)
    """Share of each weight that a step takes away, times the learning rate."""

    @abstractmethod
    def build(self, parameters: list[nn.Parameter]) -> Optimizer:
        """Return the optimiser of these parameters."""


OPTIMIZERS: Registry[OptimizerConfig] = Registry(
    "vesuv.optimizers",
    "vesuv.training.optimizers:OPTIMIZERS",
    "vesuv.config.training:OptimizerConfig",
    "optimizer",
)


class SchedulerConfig(Section, ABC):
    """Base of all learning-rate schedules; each builds a scheduler of torch.optim."""

    name: str
    warmup_epochs: Epochs = 2
    """Epochs over which the learning rate rises linearly to its value."""

    @abstractmethod
    def build(self, optimizer: Optimizer, span: ScheduleSpan) -> LRScheduler | ReduceLROnPlateau:
        """Return the scheduler, which takes over after the warm-up."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a key of one kind of schedule."""


@dataclass(frozen=True)
class ScheduleSpan:
    """How long a schedule lasts, warm-up left out."""

    steps: int
    """Optimiser steps from the end of the warm-up to the end of the run."""
    steps_per_epoch: int
    validation_every: int
    """Epochs between two validations."""


SCHEDULES: Registry[SchedulerConfig] = Registry(
    "vesuv.schedules",
    "vesuv.training.schedules:SCHEDULES",
    "vesuv.config.training:SchedulerConfig",
    "schedule",
)


class SWAConfig(Section):
    start_epoch: Epochs
    """First epoch whose weights are averaged."""
    lr: Positive | None = None
    """Learning rate while averaging; null: the scheduler's."""


class EMAConfig(Section):
    decay: float = Field(default=0.999, gt=0.0, lt=1.0)
    """Share of the old average kept at each step (smaller in the first steps)."""


class AveragingConfig(Section):
    swa: SWAConfig | None = None
    """Stochastic weight averaging, once an epoch; null: off."""
    ema: EMAConfig | None = None
    """Exponential moving average, once a step; null: off."""


class NoiseConfig(Section):
    start_epoch: Epochs
    """First epoch that may receive noise."""
    every: Size
    """Epochs between two injections."""
    std: Positive
    """Standard deviation relative to each weight tensor's own."""
    decay: float = Field(gt=0.0, le=1.0)
    """Factor on std after each injection."""
    layers: tuple[str, ...] = ("decoder", "output")
    """Parameters whose name begins with one of these receive noise."""


class PlateauConfig(Section):
    patience: Size = 3
    """Epochs without a new best, counted at validations, before an escape."""
    formula: Literal["conservative", "aggressive"] = "conservative"
    """Learning-rate multiplier at the n-th escape: 1.0 + (n - 1) * 0.15 or 1.5 + (n - 1) * 0.85."""
    cap: float = Field(default=5.0, ge=1.0)
    """The learning rate never exceeds this multiple of optimizer.lr."""
    tolerance: float = Field(default=0.15, gt=0.0)
    """A measure worse than the best by this share rolls back at once."""


class EarlyStoppingConfig(Section):
    patience: Size
    """Epochs without a new best after which the run ends."""


class CheckpointConfig(Section):
    every_epochs: Size | None = None
    """Keep checkpoints/epoch_<n>.pt this often; null: only best, last and averages."""
    every_minutes: Positive = 10.0
    """Also save last.pt within an epoch this often: the most work that a kill can lose."""


class ValidationConfig(Section):
    measure: Literal["dice", "iou", "precision", "recall", "accuracy"] = "dice"
    """What the scheduler, early stopping and "best" watch; masked, pooled over the tiles."""
    threshold: Cut = 0.5
    """Probability from which a voxel counts as foreground (binary head)."""
    every: Size = 1
    """Epochs between two validations."""
    tiles: Size = 16
    """Number of fixed validation patches, spread over the fold's cases."""
    foreground_share: Probability = 0.5
    """Share of tiles centred on a foreground voxel."""
    seed: int = 0
    """Seed of the tiles; the same in every run and phase."""
    full_every: Size | None = None
    """Epochs between two validations on whole volumes; null: none while training."""


Objective = Literal["distribution", "dice", "leaderboard_bounds", "leaderboard_exact"]


class SelectionConfig(Section):
    objective: Objective = "dice"
    """What decides among choices within the tolerance; distribution: the fraction's error alone."""
    thresholds: tuple[Cut, ...] = tuple(round(0.05 * i, 2) for i in range(2, 19))
    """Thresholds that are tried."""
    hysteresis: tuple[tuple[Cut, Cut], ...] = ()
    """Pairs [low, high] that are tried in place of a threshold."""
    postprocess: tuple[Chain, ...] = ()
    """Chains of steps that are tried, beside none and inference.postprocess."""
    survivors: Size = 3
    """Hysteresis, chains and leaderboard scores are tried on this many checkpoints with their
    threshold: the best by the rule, and as many by Dice whatever their foreground fraction."""
    tolerance: float = Field(default=0.02, ge=0.0)
    """Choices whose foreground fraction is off by at most this much are ranked by the objective."""
    band: tuple[Probability, Probability] | None = None
    """Absolute interval that the predicted foreground fraction must lie in; null: none."""

    @model_validator(mode="after")
    def _checks(self) -> SelectionConfig:
        if not self.thresholds:
            raise ValueError("thresholds needs at least one value")
        if self.band is not None and self.band[0] >= self.band[1]:
            raise ValueError(f"band is [low, high] with low < high, found {list(self.band)}")
        for low, high in self.hysteresis:
            if low >= high:
                raise ValueError(f"hysteresis pairs are [low, high], found {[low, high]}")
        return self


class InferenceConfig(Section):
    overlap: float = Field(default=0.5, ge=0.0, lt=1.0)
    """Share of a window that its neighbour covers."""
    batch_size: Size = 1
    """Windows in one forward pass."""
    mirror: bool = False
    """Average over the eight flips (eight times the work)."""
    postprocess: Chain = ()
    """Steps from probabilities to the mask where selection chose none; empty: the threshold
    alone."""


class RuntimeConfig(Section):
    seed: int = 0
    """Seed of initial weights, patches and augmentation."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 autocast where the device has it in hardware."""
    workers: int | None = Field(default=None, ge=0)
    """Loader processes; null: chosen for the machine."""
    threads: Size | None = None
    """CPU threads of the training process; null: chosen for the machine."""
    augment_on: Literal["auto", "worker", "device"] = "auto"
    """Where augmentation runs; auto: on an accelerator when there is one, else in the loader."""
    max_minutes: Positive | None = None
    """End the run in good order after this much training; null: no limit."""
    accumulate: Size = 1
    """Parts that a batch goes through the network in: less memory, one more forward pass. Loss and
    gradient are those of the whole batch."""
    recompute_levels: int = Field(default=0, ge=0)
    """Levels of the plain U-Net, from the top, whose activations backward computes again."""
    channels_last: bool = False
    """channels_last_3d memory layout."""
    compile: bool = False
    """Compile the network with torch.compile."""

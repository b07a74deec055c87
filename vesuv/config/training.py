"""Sections of training, validation, selection, inference and runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from vesuv.config.data import (
    PatchSize,
    PositiveFloat,
    PositiveInt,
    Probability,
    ProbabilityThreshold,
)
from vesuv.config.former_keys import with_present_names
from vesuv.config.postprocess import Chain
from vesuv.config.registry import Registry
from vesuv.config.section import Section

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

Epochs = Annotated[int, Field(ge=0)]


class TrainConfig(Section):
    epochs: PositiveInt = 300
    """Epochs of the whole run."""
    task: Literal["segmentation", "reconstruction"] = "segmentation"
    """What the network learns. reconstruction: the masked blocks of images, without labels, as
    `vesuv pretrain` sets it."""
    pretrained: str | None = None
    """Weights that training starts from: a bundle, a run or a checkpoint file; a relative path
    counts from the current folder. null: random weights."""
    pretrained_layers: tuple[str, ...] | None = None
    """Load pretrained weights only into parameters whose name begins with one of these, as in
    [encoder, bottleneck] of plain_unet; null: into all."""
    cases: PositiveInt | None = None
    """Number of the fold's training cases, drawn by `runtime.seed`; null: all. The cases of a
    smaller number are among those of a larger one, so that runs show what further labels bring."""
    steps_per_epoch: PositiveInt | None = 250
    """Optimiser steps in one epoch; null: as many as draw one patch of each training case."""
    gradient_clip: PositiveFloat | None = 2.0
    """Largest gradient norm; null: no clipping."""
    non_finite_limit: PositiveInt = 20
    """Steps with a non-finite loss or gradient that are skipped before `non_finite` applies."""
    non_finite: Literal["stop", "rollback"] = "stop"
    """stop: end the run; rollback: load the best weights, halve the learning rate (three times)."""


class PretrainConfig(Section):
    mask_share: float = Field(default=0.75, gt=0.0, lt=1.0)
    """Share of the blocks of each patch that are masked."""
    block_size: PositiveInt = 16
    """Edge of a block in voxels; 8 for small patches and thin structures."""


class OptimizerConfig(Section, ABC):
    """Base of all optimisers' sections; each builds one of torch.optim."""

    name: str
    """Optimiser."""
    lr: PositiveFloat
    """Learning rate after warm-up."""
    weight_decay: float = Field(ge=0.0)
    """Share of each weight that a step subtracts, times the learning rate."""

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
    """Schedule of the learning rate."""
    warmup_epochs: Epochs = 2
    """Epochs over which the learning rate rises linearly to its value."""

    @abstractmethod
    def build(self, optimizer: Optimizer, span: ScheduleSpan) -> LRScheduler | ReduceLROnPlateau:
        """Return the scheduler, which takes over after the warm-up."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a key that only some schedules have."""


@dataclass(frozen=True)
class ScheduleSpan:
    """Length of a schedule without the warm-up."""

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
    lr: PositiveFloat | None = None
    """Learning rate while averaging; null: the scheduler's."""


class EMAConfig(Section):
    decay: float = Field(default=0.999, gt=0.0, lt=1.0)
    """Weight of the old average at each step (smaller in the first steps)."""


class AveragingConfig(Section):
    swa: SWAConfig | None = None
    """Stochastic weight averaging, once an epoch; null: off."""
    ema: EMAConfig | None = None
    """Exponential moving average, once a step; null: off."""


class WeightNoiseConfig(Section):
    start_epoch: Epochs
    """First epoch that may receive noise."""
    every: PositiveInt
    """Epochs between two injections."""
    std: PositiveFloat
    """Standard deviation relative to each weight tensor's own."""
    decay: float = Field(gt=0.0, le=1.0)
    """Factor on std after each injection."""
    layers: tuple[str, ...] = ("decoder", "output")
    """Parameters whose name begins with one of these receive noise."""


class PlateauEscapeConfig(Section):
    patience: PositiveInt = 3
    """Epochs without a new best measure, counted at validations, before an escape."""
    formula: Literal["conservative", "aggressive"] = "conservative"
    """Learning-rate multiplier at the n-th escape: 1.0 + (n - 1) * 0.15 or 1.5 + (n - 1) * 0.85."""
    cap: float = Field(default=5.0, ge=1.0)
    """Largest learning rate, as a multiple of optimizer.lr."""
    tolerance: float = Field(default=0.15, gt=0.0)
    """Roll back at once when the measure is worse than the best by this share."""


class EarlyStoppingConfig(Section):
    patience: PositiveInt
    """Epochs without a new best measure after which the run ends."""


class CheckpointConfig(Section):
    every_epochs: PositiveInt | None = None
    """Epochs between two checkpoints/epoch_<n>.pt; null: only best, last and averages."""
    every_minutes: PositiveFloat = 10.0
    """Also save last.pt within an epoch this often: a killed run loses no more work than this."""


class ValidationConfig(Section):
    measure: Literal["dice", "iou", "precision", "recall", "accuracy"] = "dice"
    """Measure of the scheduler, early stopping and best.pt; masked, pooled over the tiles."""
    threshold: ProbabilityThreshold = 0.5
    """Probability from which a voxel counts as foreground (one logit), or belongs to a region."""
    every: PositiveInt = 1
    """Epochs between two validations."""
    tiles: PositiveInt = 16
    """Number of fixed validation patches, spread over the fold's cases."""
    foreground_share: Probability = 0.5
    """Share of tiles centred on a foreground voxel."""
    seed: int = 0
    """Seed of the tiles; the same in every run and phase."""
    full_every: PositiveInt | None = None
    """Epochs between two validations on whole volumes; null: none while training."""


Objective = Literal["distribution", "dice", "leaderboard_bounds", "leaderboard_exact"]


class SelectionConfig(Section):
    objective: Objective = "dice"
    """Criterion among choices within the tolerance; distribution: error of the fraction alone."""
    thresholds: tuple[ProbabilityThreshold, ...] = tuple(round(0.05 * i, 2) for i in range(2, 19))
    """Candidate thresholds; of several classes or regions for each, against the likeliest other."""
    hysteresis: tuple[tuple[ProbabilityThreshold, ProbabilityThreshold], ...] = ()
    """Candidate pairs [low, high], each in place of a threshold."""
    postprocess: tuple[Chain, ...] = ()
    """Candidate chains of steps, besides the empty chain and inference.postprocess; of several
    classes or regions for the mask of each."""
    survivors: PositiveInt = 3
    """Hysteresis, chains and leaderboard scores are evaluated for this many pairs of checkpoint and
    threshold: the best by the rule, and as many by Dice regardless of foreground fraction."""
    tolerance: float = Field(default=0.02, ge=0.0)
    """Largest error of the foreground fraction, of several classes of that of each, within which
    the objective ranks the choices; 1.5 times the smallest error where that is more."""
    band: tuple[Probability, Probability] | None = None
    """Interval that the predicted fraction of any foreground must lie in, or come near to where
    none does; null: any."""

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


Views = Literal["none", "mirror", "all"]
Average = Literal["probabilities", "logits"]


def _switch(value: Any) -> Any:
    """Return a switch as its word: YAML reads on and off as true and false."""
    return ("on" if value else "off") if isinstance(value, bool) else value


Compile = Annotated[Literal["auto", "off", "on"], BeforeValidator(_switch)]


class InferenceConfig(Section):
    patch_size: PatchSize | None = None
    """Edges of a window in voxels, (z, y, x); null: those of training. Larger windows see more at
    their borders and cover a volume with less work; they need more memory."""
    overlap: float = Field(default=0.5, ge=0.0, lt=1.0)
    """Share of a window that overlaps its neighbour along an axis."""
    batch_size: PositiveInt = 1
    """Windows in one forward pass."""
    views: Views = "none"
    """Average over views of each window. mirror: its 8 flips, 8 times the work; all: with axis
    exchanges up to 48, of axes along which window edges and spacing are equal."""
    average: Average = "probabilities"
    """What windows, views and networks are averaged in. logits: as nnU-Net does, with its weights
    of windows, and with zeros around volumes smaller than the patch; else their faces' voxels are
    repeated."""
    compile: Compile = "auto"
    """torch.compile. auto: where a prediction in blocks takes more than ten minutes and measures it
    to be faster; on: always; off: never. Probabilities change by less than 0.001."""
    postprocess: Chain = ()
    """Post-processing where selection chose none, of the mask of each class or region; empty: the
    threshold alone."""

    @model_validator(mode="before")
    @classmethod
    def _rename_former_keys(cls, values: Any) -> Any:
        return with_present_names(values)


class RuntimeConfig(Section):
    seed: int = 0
    """Seed of initial weights, patches and augmentation."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: the accelerator if there is one, else the CPU."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 autocast where the device has it in hardware."""
    workers: int | None = Field(default=None, ge=0)
    """Loader processes; null: chosen for the machine."""
    threads: PositiveInt | None = None
    """CPU threads of the training process; null: chosen for the machine."""
    augment_on: Literal["auto", "worker", "device"] = "auto"
    """Place of augmentation; auto: the accelerator if there is one, else the loader."""
    max_minutes: PositiveFloat | None = None
    """Save and end the run after this much training; null: no limit."""
    accumulate: PositiveInt = 1
    """Parts that a batch is split into: less memory, one more forward pass. Loss and gradient are
    those of the whole batch."""
    recompute_levels: int = Field(default=0, ge=0)
    """Levels of plain_unet, plain_conv_unet or residual_encoder_unet, from the top, whose
    activations backward recomputes: less memory, up to one more forward pass."""
    channels_last: bool = False
    """channels_last_3d memory layout."""
    compile: bool = False
    """Compile the network with torch.compile."""

"""The configuration of a detector of curves: YAML with bases and changes, as that of `vesuv`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from vesuv.config.data import PositiveFloat, PositiveInt, Probability, Range
from vesuv.config.load import read_sections
from vesuv.config.registry import RegistryField
from vesuv.config.section import Section
from vesuv.config.shipped import config_path, shipped_folder
from vesuv.config.training import (
    OPTIMIZERS,
    SCHEDULES,
    AveragingConfig,
    OptimizerConfig,
    RuntimeConfig,
    SchedulerConfig,
)

_OPTIMIZER = RegistryField(OPTIMIZERS, default="adamw")
_SCHEDULE = RegistryField(SCHEDULES, default="poly")
_SHIPPED = "curves"
"""Folder of the shipped configurations of curves."""


class LogsConfig(Section):
    """Image logs and the split into folds."""

    root: str
    """Folder with wells.csv, images/ and picks/; relative to the configuration's folder."""
    missing: float | None = 0.0
    """Grey value of pixels without a measurement; null: none. NaN always is one."""
    folds: int = Field(default=3, ge=2)
    """Number of folds; a group of wells never crosses them."""
    seed: int = 0
    """Seed of the deal of wells to folds."""


class StripsConfig(Section):
    """Strips that the network reads."""

    rows: int = Field(default=100, ge=8)
    """Rows of a strip."""
    columns: int = Field(default=360, ge=8)
    """Columns of a strip, which images are resampled to."""
    batch_size: PositiveInt = 8
    """Strips of a step."""
    with_picks: Probability = 0.7
    """Share of training strips that are cut around a pick; the others lie anywhere."""


class CurveAugmentConfig(Section):
    """Random changes of training strips."""

    any_row: bool = True
    """A training strip begins at any row; false: at multiples of its rows only."""
    turn: bool = True
    """Turn the strip around the hole by any angle."""
    mirror: Probability = 0.5
    """Share of strips that are mirrored in azimuth."""
    upside_down: Probability = 0.5
    """Share of strips that are turned upside down."""
    gain: Range = (0.7, 1.4)
    """Factor on the contrast."""
    noise: float = Field(default=0.2, ge=0.0)
    """Largest deviation of added noise, relative to that of the log."""
    gaps: Probability = 0.3
    """Share of strips that lose further columns, up to a tenth of the wall."""

    @field_validator("gain")
    @classmethod
    def _low_to_high(cls, value: Range) -> Range:
        if not 0.0 < value[0] <= value[1]:
            raise ValueError(f"is [low, high] with 0 < low <= high, found {list(value)}")
        return value


class DetectorConfig(Section):
    """Network."""

    filters: tuple[PositiveInt, ...] = (16, 16, 24, 24)
    """Channels of each stage of the encoder; the stem has those of the first."""
    blocks: tuple[PositiveInt, ...] = (1, 1, 1, 1)
    """Residual blocks of each stage: 1, 1, 1, 1 has 10 layers, 3, 4, 6, 3 has 34."""
    strides: tuple[tuple[PositiveInt, PositiveInt], ...] = ((1, 1), (1, 1), (1, 1), (1, 1))
    """Stride of each stage in depth and azimuth, after the stem's 2 and 4."""
    evidence: int = Field(default=6, ge=2)
    """Channels of evidence, the first of which draw the curves of each kind."""
    harmonics: PositiveInt = 16
    """Highest harmonic of the evidence around the hole that the Hough transform reads."""
    amplitudes: int = Field(default=16, ge=2)
    """Amplitudes of the sinusoids that evidence is averaged along."""
    max_amplitude: PositiveFloat = 56.0
    """Rows of the largest amplitude; it should not be below that of the steepest picks."""
    phases: int = Field(default=24, ge=4)
    """Phases of the sinusoids."""
    hough_channels: PositiveInt = 8
    """Channels of the averages that a token is made of."""
    width: int = Field(default=64, ge=8, multiple_of=8)
    """Width of the transformer."""
    heads: PositiveInt = 4
    """Attention heads; they divide the width."""
    encoder_layers: PositiveInt = 4
    decoder_layers: PositiveInt = 4
    feedforward: PositiveInt = 128
    """Width of the layers between attention."""
    queries: PositiveInt = 12
    """Best proposals that the decoder refines, which is the most picks of a strip."""

    @model_validator(mode="after")
    def _stages_agree(self) -> DetectorConfig:
        lengths = {len(self.filters), len(self.blocks), len(self.strides)}
        if len(lengths) != 1:
            raise ValueError(
                "filters, blocks and strides have one entry a stage, found "
                f"{len(self.filters)}, {len(self.blocks)} and {len(self.strides)}"
            )
        if self.width % self.heads:
            raise ValueError(f"heads must divide the width {self.width}, found {self.heads}")
        return self

    @property
    def stride(self) -> tuple[int, int]:
        """Rows and columns of a strip for one row and column of the encoder's features."""
        depth, azimuth = 2, 4
        for stage in self.strides:
            depth, azimuth = depth * stage[0], azimuth * stage[1]
        return depth, azimuth


class CurveLossConfig(Section):
    """Loss of kinds and parameters, which is the cost of the matching too."""

    classification: Literal["focal", "cross_entropy"] = "focal"
    """Loss of the kind of each query, also of queries without a curve."""
    gamma: float = Field(default=2.0, ge=0.0)
    """Exponent of focal loss."""
    none_weight: PositiveFloat = 0.3
    """Weight of queries without a curve."""
    kind_weights: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    """Weights of bedding and fracture."""
    class_weight: PositiveFloat = 5.0
    """Weight of the classification, in the loss and in the matching."""
    parameter_weight: PositiveFloat = 1.0
    """Weight of the L1 distance of parameters, in the loss and in the matching."""
    mask_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the loss of curves that the evidence draws; 0: none."""
    scales: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (5.0, 15.0, 1.0)
    """Rows of depth, degrees of dip, and units of cosine and sine, that count as 1 in the L1
    distance."""


class PickingConfig(Section):
    """From queries to picks."""

    threshold: Probability = 0.5
    """Probability from which a query is a pick."""
    overlap: float = Field(default=0.5, ge=0.0, lt=1.0)
    """Share of a strip that overlaps the next one; a pick is taken from the strip whose middle it
    is nearest to."""
    refine: bool = True
    """Move each pick to the sinusoid nearby along which the network's masks are strongest."""
    min_distance: float = Field(default=3.0, ge=0.0)
    """Rows within which the weaker of two picks of one kind and direction is dropped."""


class CurveTrainConfig(Section):
    """Length of the run, and its steps."""

    epochs: PositiveInt = 40
    """Epochs of the run."""
    steps_per_epoch: PositiveInt = 100
    """Optimiser steps in one epoch."""
    gradient_clip: PositiveFloat | None = 1.0
    """Largest gradient norm; null: no clipping."""
    validate_every: PositiveInt = 5
    """Epochs between two validations on the whole logs of the fold."""


class CurveRuntimeConfig(Section):
    """Machine."""

    seed: int = 0
    """Seed of initial weights, strips and augmentation."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """auto: the accelerator if there is one, else the CPU."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """auto: bfloat16 autocast where the device has it in hardware."""
    threads: PositiveInt | None = None
    """CPU threads; null: chosen for the machine."""
    max_minutes: PositiveFloat | None = None
    """Save and end the run after this much training; null: no limit."""

    def shared(self) -> RuntimeConfig:
        """Return the section that `vesuv.runtime.machine` resolves."""
        return RuntimeConfig(**self.model_dump(), workers=0)


class CurvesConfig(Section):
    """All settings of a run of curves."""

    task: Literal["curves"]
    """Tells this configuration from one of segmentation."""
    name: str
    """Name of the run's folder under log/; the file's name without ending when left out."""
    logs: LogsConfig
    strips: StripsConfig = StripsConfig()
    augment: CurveAugmentConfig | None = CurveAugmentConfig()
    """Random changes of training strips; null: none."""
    detector: DetectorConfig = DetectorConfig()
    loss: CurveLossConfig = CurveLossConfig()
    picking: PickingConfig = PickingConfig()
    train: CurveTrainConfig = CurveTrainConfig()
    optimizer: Annotated[OptimizerConfig, _OPTIMIZER] = Field(default_factory=_OPTIMIZER)
    scheduler: Annotated[SchedulerConfig, _SCHEDULE] = Field(default_factory=_SCHEDULE)
    """Learning rate over the run."""
    averaging: AveragingConfig = AveragingConfig()
    """Averaged weights; with ema these are validated and picked with."""
    runtime: CurveRuntimeConfig = CurveRuntimeConfig()

    @model_validator(mode="after")
    def _strips_fit_the_detector(self) -> CurvesConfig:
        sides = {"rows": (self.strips.rows, 0), "columns": (self.strips.columns, 1)}
        for key, (edge, axis) in sides.items():
            if edge % self.detector.stride[axis]:
                raise ValueError(
                    f"strips.{key}: must be a multiple of {self.detector.stride[axis]}, the "
                    f"detector's stride, found {edge}"
                )
        columns = self.strips.columns // self.detector.stride[1]
        if 2 * self.detector.harmonics >= columns:
            raise ValueError(
                f"detector.harmonics: must be below half of the encoder's {columns} columns, found "
                f"{self.detector.harmonics}"
            )
        if any(number % 8 for number in self.detector.filters):
            raise ValueError(
                f"detector.filters: must be multiples of 8, found {list(self.detector.filters)}"
            )
        return self


def load_curves_config(path: str | Path, changes: Sequence[str] = ()) -> CurvesConfig:
    """Read a configuration file with its bases, apply changes, check every key and value.

    Args:
        path: YAML file, or the name of a shipped one: geobfdt.
        changes: `section.key=value` strings, the value in YAML.

    Raises:
        InputError: Names file, key, rule, value found and the nearest valid name.
    """
    shipped = shipped_folder() / _SHIPPED / f"{path}.yaml"
    file = shipped if "/" not in str(path) and shipped.is_file() else config_path(path)
    return read_sections(file, CurvesConfig, changes)

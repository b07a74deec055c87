"""The whole configuration and the rules that span sections."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from vesuv.config.data import AugmentConfig, DataConfig, LabelsConfig, SamplingConfig
from vesuv.config.diagnosis import DiagnosisConfig
from vesuv.config.network import (
    LossConfig,
    MedNeXtConfig,
    ModelConfig,
    Phase,
    PlainUNetConfig,
    SegResNetConfig,
)
from vesuv.config.section import Section
from vesuv.config.training import (
    AdamWConfig,
    AveragingConfig,
    CheckpointConfig,
    EarlyStoppingConfig,
    InferenceConfig,
    NoiseConfig,
    OptimizerConfig,
    PlateauConfig,
    PlateauScheduler,
    RuntimeConfig,
    SchedulerConfig,
    SelectionConfig,
    TrainConfig,
    ValidationConfig,
)


class Config(Section):
    """Everything that a run depends on. Only entry points see it whole."""

    name: str
    """Name of the run's folder under log/; the file's own name when left out."""
    data: DataConfig
    labels: LabelsConfig
    sampling: SamplingConfig = SamplingConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ModelConfig = PlainUNetConfig()
    loss: LossConfig = LossConfig()
    phases: tuple[Phase, ...] = Field(min_length=1)
    train: TrainConfig = TrainConfig()
    optimizer: OptimizerConfig = AdamWConfig()
    scheduler: SchedulerConfig = PlateauScheduler()
    averaging: AveragingConfig = AveragingConfig()
    noise: NoiseConfig | None = None
    plateau: PlateauConfig | None = None
    early_stopping: EarlyStoppingConfig | None = None
    checkpoint: CheckpointConfig = CheckpointConfig()
    validation: ValidationConfig = ValidationConfig()
    diagnosis: DiagnosisConfig = DiagnosisConfig()
    selection: SelectionConfig = SelectionConfig()
    inference: InferenceConfig = InferenceConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @field_validator("name")
    @classmethod
    def _one_folder(cls, value: str) -> str:
        if not value.isprintable() or value in ("", ".", "..") or set("/\\") & set(value):
            raise ValueError(
                f"names one folder, without a path before it, found {value!r:.60}; --output DIR "
                "writes elsewhere"
            )
        return value

    @model_validator(mode="after")
    def _phases_cover_the_run(self) -> Config:
        expected = 0
        for index, phase in enumerate(self.phases):
            first, last = phase.epochs
            if first != expected:
                fault = "overlaps the one before" if first < expected else "leaves a gap"
                raise ValueError(
                    f"phases.{index}.epochs: phase {fault}: it starts at epoch {first}, must start "
                    f"at {expected}"
                )
            if last is None:
                if index != len(self.phases) - 1:
                    raise ValueError(
                        f"phases.{index}.epochs: only the last phase may end with null"
                    )
                return self
            if last < first:
                raise ValueError(
                    f"phases.{index}.epochs: ends at {last}, before it starts ({first})"
                )
            expected = last + 1
        if expected < self.train.epochs:
            raise ValueError(
                f"phases: leave a gap: they end at epoch {expected - 1}, train.epochs is "
                f"{self.train.epochs}; extend the last phase or end it with null"
            )
        return self

    @model_validator(mode="after")
    def _classes_agree(self) -> Config:
        classes, outputs = self.labels.num_classes, self.model.out_channels
        if outputs == 1 and classes != 2:
            raise ValueError(
                f"model.out_channels: one logit tells two classes apart, labels.classes names "
                f"{classes}; set it to {classes}"
            )
        if outputs > 1 and outputs != classes:
            raise ValueError(
                f"model.out_channels: must equal the {classes} labels.classes (or 1 for two "
                f"classes), found {outputs}"
            )
        weights = self.loss.class_weights
        if weights is not None and len(weights) != classes:
            raise ValueError(
                f"loss.class_weights: needs one weight for each of the {classes} classes, found "
                f"{len(weights)}"
            )
        return self

    @model_validator(mode="after")
    def _patch_fits_network(self) -> Config:
        divisor = 2**self.levels
        patch_size = self.sampling.patch_size
        if any(edge % divisor for edge in patch_size):
            raise ValueError(
                f"sampling.patch_size: each edge must be a multiple of {divisor} for this network, "
                f"found {list(patch_size)}"
            )
        if max(patch_size) == divisor:
            raise ValueError(
                f"sampling.patch_size: this network would shrink it to a single voxel, whose norm "
                f"is always zero; one edge must be at least {2 * divisor}, found {list(patch_size)}"
            )
        return self

    @property
    def levels(self) -> int:
        """How often the network halves a patch."""
        if isinstance(self.model, SegResNetConfig):
            return len(self.model.blocks_down) - 1
        return 4 if isinstance(self.model, MedNeXtConfig) else self.model.depth

    @property
    def terms(self) -> tuple[str, ...]:
        """Losses named by any phase, in the order of their first mention."""
        return tuple(dict.fromkeys(term for phase in self.phases for term in phase.weights))

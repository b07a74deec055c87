"""The whole configuration and the rules that span sections."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from vesuv.config.data import AugmentConfig, DataConfig, SamplingConfig
from vesuv.config.diagnosis import DiagnosisConfig
from vesuv.config.labels import LabelsConfig
from vesuv.config.loss import ALL_LOSSES, LossConfig, Phase, with_named_losses
from vesuv.config.model import NETWORKS, NetworkConfig
from vesuv.config.registry import RegistryField
from vesuv.config.section import Section
from vesuv.config.training import (
    OPTIMIZERS,
    SCHEDULES,
    AveragingConfig,
    CheckpointConfig,
    EarlyStoppingConfig,
    InferenceConfig,
    OptimizerConfig,
    PlateauEscapeConfig,
    PretrainConfig,
    RuntimeConfig,
    SchedulerConfig,
    SelectionConfig,
    TrainConfig,
    ValidationConfig,
    WeightNoiseConfig,
)
from vesuv.types import Shape

_NETWORK = RegistryField(NETWORKS, default="plain_unet")
_OPTIMIZER = RegistryField(OPTIMIZERS, default="adamw")
_SCHEDULE = RegistryField(SCHEDULES, default="plateau")


class Config(Section):
    """All settings of a run. Only entry points receive the whole configuration."""

    name: str
    """Name of the run's folder under log/; the file's name without ending when left out."""
    data: DataConfig
    """Raw data, their preparation and the split into folds."""
    labels: LabelsConfig
    """Classes by name, and the value that is not judged. In layout nnunet, classes, ignore and
    regions that are not written are those of dataset.json."""
    sampling: SamplingConfig = SamplingConfig()
    """Patches that a step trains on."""
    augment: AugmentConfig = AugmentConfig()
    """Random changes of training patches."""
    model: Annotated[NetworkConfig, _NETWORK] = Field(default_factory=_NETWORK)
    """Network."""
    loss: Annotated[LossConfig, ALL_LOSSES] = Field(default_factory=ALL_LOSSES)
    """Settings of each loss; the weights are in `phases`."""
    phases: tuple[Phase, ...] = Field(min_length=1)
    """Weights of the losses by epoch, without gap or overlap."""
    train: TrainConfig = TrainConfig()
    """Length of the run, and what a step does with its gradient."""
    pretrain: PretrainConfig = PretrainConfig()
    """Masks of `train.task` reconstruction."""
    optimizer: Annotated[OptimizerConfig, _OPTIMIZER] = Field(default_factory=_OPTIMIZER)
    """Optimiser."""
    scheduler: Annotated[SchedulerConfig, _SCHEDULE] = Field(default_factory=_SCHEDULE)
    """Learning rate by epoch."""
    averaging: AveragingConfig = AveragingConfig()
    """Averages of the weights, each a checkpoint of its own."""
    noise: WeightNoiseConfig | None = None
    """Gaussian noise on the weights; null: none."""
    plateau: PlateauEscapeConfig | None = None
    """Rise of the learning rate where the measure no longer improves; null: never."""
    early_stopping: EarlyStoppingConfig | None = None
    """End of a run that no longer improves; null: it runs all epochs."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """How often checkpoints are saved."""
    validation: ValidationConfig = ValidationConfig()
    """Validation while training, on fixed tiles."""
    diagnosis: DiagnosisConfig = DiagnosisConfig()
    """Evidence that a run collects for its findings."""
    selection: SelectionConfig = SelectionConfig()
    """Choice of checkpoint, threshold and post-processing."""
    inference: InferenceConfig = InferenceConfig()
    """Prediction of whole volumes by overlapping windows."""
    runtime: RuntimeConfig = RuntimeConfig()
    """Machine: device, precision, processes, memory."""

    @model_validator(mode="before")
    @classmethod
    def _losses_of_the_phases(cls, tree: Any) -> Any:
        return with_named_losses(tree) if isinstance(tree, dict) else tree

    @model_validator(mode="before")
    @classmethod
    def _one_output_a_class(cls, tree: Any) -> Any:
        """Fill in `model.out_channels` for more than two classes, and for regions."""
        if not isinstance(tree, dict):
            return tree
        labels, model = tree.get("labels"), tree.get("model", {})
        if not isinstance(labels, dict) or not isinstance(model, dict):
            return tree
        classes, regions = labels.get("classes"), labels.get("regions")
        outputs = 1
        if isinstance(regions, dict):
            outputs = len(regions)
        elif isinstance(classes, dict) and len(classes) > 2:
            outputs = len(classes)
        return tree if outputs == 1 else {**tree, "model": {"out_channels": outputs, **model}}

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
        targets, outputs = self.labels.targets, self.model.out_channels
        if targets.overlap:
            if outputs != targets.num_logits:
                raise ValueError(
                    f"model.out_channels: must equal the {targets.num_logits} labels.regions, "
                    f"found {outputs}"
                )
            return self
        classes = targets.num_classes
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
        return self

    @model_validator(mode="after")
    def _one_weight_a_class(self) -> Config:
        sections = {"loss": self.loss}
        sections |= {f"loss.{name}": getattr(self.loss, name) for name in self.terms}
        for place, section in sections.items():
            weights = getattr(section, "class_weights", None)
            expected = 1 + len(self.labels.targets.names)
            if weights is not None and len(weights) != expected:
                kind = "regions and the background" if self.labels.targets.overlap else "classes"
                raise ValueError(
                    f"{place}.class_weights: needs one weight for each of the {expected} {kind}, "
                    f"found {len(weights)}"
                )
        return self

    @model_validator(mode="after")
    def _patches_fit_network(self) -> Config:
        self.check_patch("sampling.patch_size", self.sampling.patch_size)
        self.check_patch("inference.patch_size", self.window_size(self.inference))
        return self

    def check_patch(self, key: str, patch_size: Shape) -> None:
        """Refuse a patch or window that the network cannot halve at each level.

        Args:
            key: What the message names.
            patch_size: Edges in voxels, (z, y, x).

        Raises:
            ValueError: An edge is no multiple, or a single voxel would be left.
        """
        divisors = [2**halvings for halvings in self.model.halvings]
        is_equal = len(set(divisors)) == 1
        if any(edge % divisor for edge, divisor in zip(patch_size, divisors, strict=True)):
            slices = "; for slices set model.strides and model.kernels to 1 along their axis"
            raise ValueError(
                f"{key}: each edge must be a multiple of "
                f"{divisors[0] if is_equal else divisors} for this network, found "
                f"{list(patch_size)}{slices if 1 in patch_size else ''}"
            )
        if list(patch_size) == divisors:
            larger = f"one edge must be at least {2 * divisors[0]}" if is_equal else "enlarge it"
            raise ValueError(
                f"{key}: this network would shrink it to a single voxel, whose norm "
                f"is always zero; {larger}, found {list(patch_size)}"
            )

    def window_size(self, inference: InferenceConfig) -> Shape:
        """Return the edges of this network's windows where it predicts as `inference` says."""
        return inference.patch_size or self.sampling.patch_size

    @property
    def terms(self) -> tuple[str, ...]:
        """Losses named by any phase, in the order of their first mention."""
        return tuple(dict.fromkeys(term for phase in self.phases for term in phase.weights))

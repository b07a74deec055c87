"""Records of the files in a run's folder: one class for each file, or for each line of it.

A record ignores unknown keys and has defaults for keys that older versions did not write, so that
every run stays readable.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from vesuv.config.postprocess import Chain, plain_chain, read_chain

BINS = 100
"""Equal bins of the predicted probability of foreground."""

MAX_EPOCH = 10**9
"""No run has more epochs; a larger number is a damaged file's."""

Epoch = Annotated[int, Field(ge=0, le=MAX_EPOCH)]
LastEpoch = Annotated[int, Field(ge=-1, le=MAX_EPOCH)]
"""-1: before the first epoch."""
VoxelCount = Annotated[int, Field(ge=0, le=2**63 - 1)]
BinCounts = Annotated[tuple[VoxelCount, ...], Field(min_length=BINS, max_length=BINS)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
TermPair = Annotated[str, Field(pattern=r"^\w+\|\w+$")]


class Record(BaseModel):
    """Base of all records."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def first_fault(fault: ValidationError) -> str:
    """Return the first fault of a record in a sentence: key, rule and value found."""
    error = fault.errors()[0]
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error":  # from `read_chain`, which names the key and the value
        return message
    key = ".".join(str(part) for part in error["loc"]) or "content"
    value = "" if error["type"] == "missing" else f", found {error['input']!r:.60}"
    return f"{key}: {message}{value}"


def _valid_records(kind: type[Record], items: Any) -> Any:
    """Leave invalid records out of a list, so that one does not cost all of them."""
    if not isinstance(items, (list, tuple)):
        return items
    records = []
    for item in items:
        with suppress(ValidationError):
            records.append(kind.model_validate(item))
    return tuple(records)


Triple = tuple[Number, Number, Number]
Interval = tuple[Number, Number]


class SpacingRange(Record):
    """Spacings of the training cases' files along z, y, x."""

    low: Triple
    median: Triple
    high: Triple


class IntensityRange(Record):
    """Intensities of one channel over the training cases; extent: 0.5th to 99.5th percentile."""

    normalised: Interval
    """Lowest and highest end of the cases' extents after normalisation, without clipping."""
    width: Interval
    """Narrowest and widest of the cases' extents before normalisation."""
    minimum: Interval
    """Lowest and highest of the cases' smallest values before normalisation."""


class TrainingImages(Record):
    """Grids and intensities of the training cases; inputs of predictions are compared with them."""

    spacing: SpacingRange | None = None
    """None where no file states its spacing."""
    unit: str | None = None
    """Unit of the spacing; None where no file states it."""
    orientations: tuple[str, ...] = ()
    """Directions of the axes z, y, x, such as SPL; none where no file states them."""
    channels: tuple[IntensityRange, ...] = ()
    """None where the data were prepared by a version that did not measure them."""


class RunFacts(Record):
    """run.json: facts about the start of a run."""

    version: Literal[1]
    fold: Annotated[int, Field(strict=True)] | Literal["all"]
    """Number of the fold, or "all": every case in training."""
    data_fingerprint: str
    """Fingerprint of the prepared data."""
    validation_cases: tuple[str, ...]
    """Cases held out from training; none for fold "all"."""
    train_cases: tuple[str, ...] = ()
    store: str | None = None
    """Folder of the prepared data; None: the cases were in memory."""
    training_images: TrainingImages | None = None
    """None in runs of older versions."""
    started: str | None = None
    """Date and time, ISO 8601."""
    seed: int | None = None
    device: str | None = None
    precision: str | None = None
    processes: int | None = None
    config_file: str | None = None
    """File of the configuration."""
    overrides: tuple[str, ...] = ()
    """Changes of the command line."""
    base_differences: tuple[dict[str, Any], ...] | None = None
    """Keys that differ from the configuration's base."""
    vesuv: str | None = None
    git_commit: str | None = None
    python: str | None = None
    packages: dict[str, str] = Field(default_factory=dict)


class RunEvent(Record):
    """A line of events.jsonl: one event."""

    epoch: Epoch
    step: Annotated[int, Field(ge=-1, le=2**63 - 1)] = 0
    kind: str
    """phase, noise, escape, learning_rate, non_finite, rollback, resume or stop."""
    line: str
    """The event in one sentence."""


class Histogram(Record):
    """Valid voxels of some tiles by foreground probability, separately for each label."""

    foreground: BinCounts
    background: BinCounts


class TileScore(Record):
    """One validation tile at the validation threshold."""

    case: str
    group: str | None = None
    predicted: Share
    """Share of valid voxels that are predicted as foreground."""
    labelled: Share
    """Share of valid voxels that are labelled as foreground."""
    dice: Share


class TrainScore(Record):
    """Overlap on a set of tiles, pooled over their voxels."""

    dice: Share
    precision: Share
    recall: Share
    predicted: Share
    labelled: Share
    histogram: Histogram
    class_dice: dict[str, Share] = Field(default_factory=dict)
    """Dice by foreground class if there are several, without absent ones; not written if empty."""

    @model_serializer(mode="wrap")
    def _without_empty(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        if not self.class_dice:
            content.pop("class_dice", None)
        return content


class GroupScore(Record):
    """Overlap of one class on the tiles of one group, pooled over their voxels."""

    dice: Share
    labelled: Share
    """Share of valid voxels that are labelled as the class."""


class ErrorCounts(Record):
    """Voxels of the validation tiles at the threshold with the best Dice."""

    right: VoxelCount
    """True positives."""
    near: VoxelCount
    """Wrong voxels within one voxel of the other mask's foreground: a shifted boundary."""
    far: VoxelCount
    """All other wrong voxels."""


class GradientComparison(Record):
    """Gradients of the loss terms on fixed training tiles, by group of layers."""

    cosines: dict[str, dict[TermPair, Number]]
    """Group of layers -> "term|term" -> cosine of their gradients."""
    norms: dict[str, dict[str, Number]]
    """Group of layers -> term -> norm of its weighted gradient."""


class AugmentationEffect(Record):
    """Change of the structure by one augmentation, as ratios of after to before."""

    p: Share
    """Share of patches that are augmented."""
    foreground: Number
    """Ratio of the numbers of foreground voxels."""
    contrast: Number
    """Ratio of the contrasts between foreground and nearby background."""
    thickness: Number = 1.0
    """Ratio of the foreground's thicknesses."""
    class_name: str | None = None
    """Of several foreground classes the one that is damaged most, which alone is measured."""


class Structure(Record):
    """Spacing and thickness of one foreground class, measured once on training cases."""

    spacing: tuple[Number, Number, Number] | None = None
    """Distance from one piece of foreground to the next along z, y, x, in voxels."""
    thickness: Number | None = None
    """Thickness of the foreground in voxels: median over its voxels of the shortest run."""
    extent: tuple[VoxelCount, VoxelCount, VoxelCount] | None = None
    """Smallest edges of the training cases along z, y, x, in voxels."""


class ClassSampling(Record):
    """One class in training patches that are drawn as in training, and in the training cases."""

    patches: Share
    """Share of the patches that hold it."""
    patch_share: Share
    """Its share of the patches' valid voxels."""
    volume_share: Share
    """Its share of the cases' valid voxels."""


class LabelShares(Record):
    """Shares of labels in the prepared data, from its summary."""

    values: dict[str, Share]
    """Label value of the files -> share of all voxels."""
    foreground: Share
    """Foreground's share of the valid voxels."""
    ignore: Share
    """Ignored voxels' share of all voxels."""
    patches_with_foreground: Share
    """Share of all patch positions."""


class Observation(Record):
    """A line of evidence.jsonl: measurements of one validation beside metrics.csv."""

    version: Literal[1] = 1
    epoch: Epoch
    histogram: Histogram | None = None
    """Histogram of the validation tiles."""
    tiles: Annotated[
        tuple[TileScore, ...], BeforeValidator(partial(_valid_records, TileScore))
    ] = ()
    """Invalid ones are left out."""
    groups: dict[str, Share] = Field(default_factory=dict)
    """Dice by group, pooled over its tiles."""
    class_groups: dict[str, dict[str, GroupScore]] | None = None
    """The same by foreground class, of several classes."""
    train: TrainScore | None = None
    """The same measures on fixed tiles of training cases."""
    errors: ErrorCounts | None = None
    gradients: GradientComparison | None = None
    movement: Number | None = None
    """Change of the weights since the last observation, relative to their size."""
    augmentation: dict[str, AugmentationEffect] | None = None
    """By name of the augmentation; measured once."""
    structure: Structure | None = None
    """Of the only foreground class; older versions measured several as one."""
    class_structures: dict[str, Structure] | None = None
    """By class, of several foreground classes."""
    class_sampling: dict[str, ClassSampling] | None = None
    """By class, of several foreground classes; measured once."""
    labels: LabelShares | None = None
    seconds: Number | None = None
    """Duration of this observation."""


Severity = Literal["trouble", "warning"]


class Finding(Record):
    """A fault of a run, with evidence and remedy."""

    name: str
    """The finding's key, as in `vesuv.diagnosis.FINDINGS`."""
    title: str
    """The fault in a few words."""
    evidence: str
    """The evidence in sentences, with numbers and epochs."""
    remedy: str
    """The change to make, with its configuration key where there is one."""
    severity: Severity
    """trouble: the run will give a poor model; warning: a result may mislead or be improved."""
    epochs: tuple[LastEpoch, LastEpoch]
    """First and last epoch of the evidence."""
    numbers: dict[str, float] = Field(default_factory=dict)
    """Numbers of the evidence by name."""


class Diagnosis(Record):
    """diagnosis.json."""

    version: Literal[1] = 1
    epoch: LastEpoch
    """Last epoch of the evidence."""
    findings: tuple[Finding, ...]


ChainRecord = Annotated[
    Chain,
    PlainValidator(lambda steps: read_chain(steps, "postprocess")),
    PlainSerializer(plain_chain),
]


class SelectedInference(Record):
    """Inference settings of a selection; predictions with the selected model use them too."""

    overlap: float | None = None
    mirror: bool | None = None
    batch_size: int | None = None
    precision: Literal["float32", "bfloat16"] | None = None


class SelectedModel(Record):
    """selected.json: the checkpoint, threshold and post-processing that selection chose."""

    checkpoint: str
    threshold: Share | None
    """None for several classes, and where `postprocess` begins with a cut."""
    checkpoint_sha256: str | None = None
    """Digest of the selected file; None in a selected.json written by hand."""
    postprocess: ChainRecord | None = None
    """Selected steps; empty: no steps; None: the selection did not include post-processing."""
    inference: SelectedInference | None = None


class NestedEstimate(Record):
    """Mean scores of choices on the cases that were left out of the choice."""

    left_out: str
    """What was left out at a time: fold, group or case."""
    dice: Share | None = None
    gap: Share | None = None


class ChoiceRecord(Record):
    """A checkpoint with threshold and post-processing, and its mean scores over the cases."""

    checkpoint: str
    threshold: Share | None = None
    postprocess: list[dict[str, Any]] = Field(default_factory=list)
    dice: Share
    gap: Share | None = None
    """Absolute difference between the predicted and the labelled fraction."""
    predicted_fraction: Share | None = None
    labelled_fraction: Share | None = None


class SelectedChoice(ChoiceRecord):
    """The choice of the selection."""

    why: str = ""
    """The reason in one sentence."""
    honest: NestedEstimate | None = None


class SelectionSummary(Record):
    """distribution/summary.json: the selection and what it was chosen from."""

    selected: SelectedChoice
    choices: Annotated[
        tuple[ChoiceRecord, ...], BeforeValidator(partial(_valid_records, ChoiceRecord))
    ] = ()
    """Invalid ones are left out."""


class NormalizerRecord(Record):
    """Scaling of intensities in a checkpoint; one entry for each channel, or one for all."""

    name: str
    low: tuple[Number, ...] | None = None
    high: tuple[Number, ...] | None = None
    shift: tuple[Number, ...] | None = None
    scale: tuple[Number, ...] | None = None

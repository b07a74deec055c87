"""What the files of a run's folder hold, one model a file or a line of it.

A record ignores keys that it does not know and has a default for those that an older vesuv did not
write, so that every run stays readable.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from vesuv.config.postprocess import Chain, plain_chain, read_chain

BINS = 100
"""Equal bins of the predicted probability of foreground."""

Counts = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=BINS, max_length=BINS)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
TermPair = Annotated[str, Field(pattern=r"^\w+\|\w+$")]


class Record(BaseModel):
    """Base of all records."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RunFacts(Record):
    """run.json: what a run was started with."""

    version: Literal[1]
    fold: Annotated[int, Field(strict=True)] | Literal["all"]
    """Number of the fold, or "all": every case in training."""
    data_fingerprint: str
    """Fingerprint of the prepared data."""
    validation_cases: tuple[str, ...]
    """Cases that training never saw; none for fold "all"."""
    train_cases: tuple[str, ...] = ()
    store: str | None = None
    """Folder of the prepared data; None: the cases were in memory."""
    started: str | None = None
    """Date and time, ISO 8601."""
    seed: int | None = None
    device: str | None = None
    precision: str | None = None
    processes: int | None = None
    config_file: str | None = None
    """File that the configuration was read from."""
    overrides: tuple[str, ...] = ()
    """Changes of the command line."""
    base_differences: tuple[dict[str, Any], ...] | None = None
    """What file and changes differ in from the configuration's base."""
    vesuv: str | None = None
    git_commit: str | None = None
    python: str | None = None
    packages: dict[str, str] = Field(default_factory=dict)


class RunEvent(Record):
    """A line of events.jsonl: something that happened once."""

    epoch: int
    step: int = 0
    kind: str
    """phase, noise, escape, learning_rate, non_finite, rollback, resume or stop."""
    line: str
    """What happened, in one sentence."""


class Histogram(Record):
    """Judged voxels of some tiles by probability of foreground, for each label apart."""

    foreground: Counts
    background: Counts


class TileScore(Record):
    """One validation tile at the validation threshold."""

    case: str
    group: str | None = None
    predicted: Number
    """Share of the judged voxels that is predicted as foreground."""
    labelled: Number
    """Share that is labelled."""
    dice: Number


class TrainScore(Record):
    """Overlap on a set of tiles, pooled over their voxels."""

    dice: Number
    precision: Number
    recall: Number
    predicted: Number
    labelled: Number
    histogram: Histogram


class ErrorCounts(Record):
    """Voxels of the validation tiles at the threshold that suits the tiles best."""

    right: int
    """Foreground that was found."""
    near: int
    """Wrong voxels within one voxel of foreground on the other side: a boundary drawn elsewhere."""
    far: int
    """All other wrong voxels."""


class GradientComparison(Record):
    """Gradients of the loss terms on a few fixed training tiles, by group of layers."""

    cosines: dict[str, dict[TermPair, Number]]
    """Group of layers -> "term|term" -> cosine of their gradients."""
    norms: dict[str, dict[str, Number]]
    """Group of layers -> term -> norm of its weighted gradient."""


class AugmentationEffect(Record):
    """What one augmentation leaves of the structure where it is applied."""

    p: Number
    """Share of patches that it is applied to."""
    foreground: Number
    """Foreground voxels after it, as a share of those before."""
    contrast: Number
    """Contrast between foreground and the background beside it, as a share of that before."""
    thickness: Number = 1.0
    """Thickness of the foreground, as a share of that before."""


class Structure(Record):
    """Spacing and thickness of the foreground, measured once on training cases."""

    spacing: tuple[Number, Number, Number] | None = None
    """Distance from one piece of foreground to the next along z, y, x, in voxels."""
    thickness: Number | None = None
    """Of the foreground, in voxels: the shortest way through, median over its voxels."""


class LabelShares(Record):
    """What the summary of the prepared data says of the labels."""

    values: dict[str, Number]
    """Label value of the files -> share of all voxels."""
    foreground: Number
    """Share of the judged voxels."""
    ignore: Number
    """Share of all voxels."""
    patches_with_foreground: Number
    """Share of all places for a patch."""


class Observation(Record):
    """A line of evidence.jsonl: what one validation measured beyond metrics.csv."""

    version: Literal[1] = 1
    epoch: int
    histogram: Histogram | None = None
    """Of the validation tiles."""
    tiles: tuple[TileScore, ...] = ()
    groups: dict[str, Number] = Field(default_factory=dict)
    """Dice by group, pooled over its tiles."""
    train: TrainScore | None = None
    """The same measures on fixed tiles of training cases."""
    errors: ErrorCounts | None = None
    gradients: GradientComparison | None = None
    movement: Number | None = None
    """Change of the weights since the last observation, relative to their size."""
    augmentation: dict[str, AugmentationEffect] | None = None
    """By name of the augmentation; measured once."""
    structure: Structure | None = None
    labels: LabelShares | None = None
    seconds: Number | None = None
    """Time that this observation took."""


Severity = Literal["trouble", "warning"]


class Finding(Record):
    """Something that is the matter with a run."""

    name: str
    """The finding's key, as in `vesuv.diagnosis.FINDINGS`."""
    title: str
    """What is the matter, in a few words."""
    evidence: str
    """What shows it, with numbers and epochs."""
    remedy: str
    """What to do, with the key to change where there is one."""
    severity: Severity
    """trouble: the run will not come to much; warning: a result may mislead or could be better."""
    epochs: tuple[int, int]
    """First and last epoch that the evidence is from."""
    numbers: dict[str, float] = Field(default_factory=dict)
    """The figures of the evidence by name."""


class Diagnosis(Record):
    """diagnosis.json."""

    version: Literal[1] = 1
    epoch: int
    """Epoch that the findings are as of."""
    findings: tuple[Finding, ...]


ChainRecord = Annotated[
    Chain,
    PlainValidator(lambda steps: read_chain(steps, "postprocess")),
    PlainSerializer(plain_chain),
]


class SelectedInference(Record):
    """How volumes were predicted for a selection; a prediction with its choice does the same."""

    overlap: float | None = None
    mirror: bool | None = None
    batch_size: int | None = None


class Selected(Record):
    """selected.json: the checkpoint, cut and post-processing that selection chose."""

    checkpoint: str
    threshold: Share | None
    """None for several classes, and where `postprocess` begins with a cut of its own."""
    checkpoint_sha256: str | None = None
    """Digest of the file that was selected; None in a selected.json written by hand."""
    postprocess: ChainRecord | None = None
    """Steps that were selected, none of them when empty; None: they were not part of the choice."""
    inference: SelectedInference | None = None


class NormalizerRecord(Record):
    """How intensities are scaled, as a checkpoint keeps it; one entry a channel, or one for all."""

    name: str
    low: tuple[Number, ...] | None = None
    high: tuple[Number, ...] | None = None
    shift: tuple[Number, ...] | None = None
    scale: tuple[Number, ...] | None = None

"""Records of the files in a run's folder: one class for each file, or for each line of it.

A record ignores unknown keys and has defaults for keys that older versions did not write, so that
every run stays readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    model_validator,
)

from vesuv.config.former_keys import with_present_names
from vesuv.config.postprocess import Chain, plain_chain, read_chain
from vesuv.config.training import Views
from vesuv.runs.fields import (
    Epoch,
    Interval,
    LastEpoch,
    Number,
    PositiveNumber,
    Record,
    Share,
    Triple,
    valid_records,
)


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
    pretrained: dict[str, Any] | None = None
    """File, SHA-256 and fit of the weights that the run started from; None: random weights."""
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

    patch_size: tuple[int, int, int] | None = None
    overlap: float | None = None
    views: Views | None = None
    batch_size: int | None = None
    precision: Literal["float32", "bfloat16"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _rename_former_keys(cls, values: Any) -> Any:
        return with_present_names(values)


class SelectedCut(Record):
    """Selected threshold and post-processing of one class or region."""

    threshold: Share | None
    """None where `postprocess` begins with a cut."""
    postprocess: ChainRecord | None = None
    """Selected steps; empty: no steps; None: the selection did not include post-processing."""


class SelectedCalibration(Record):
    """Temperatures of a selection."""

    temperature: PositiveNumber | dict[str, PositiveNumber]
    """Of several regions each by its name."""

    def of(self, targets: Sequence[str]) -> tuple[float, ...] | None:
        """Return the temperatures in the order of the targets; None where they are of others."""
        if not isinstance(self.temperature, dict):
            return (self.temperature,)
        if set(self.temperature) != set(targets):
            return None
        return tuple(self.temperature[name] for name in targets)


class SelectedModel(SelectedCut):
    """selected.json: the checkpoint, threshold and post-processing that selection chose."""

    checkpoint: str
    checkpoint_sha256: str | None = None
    """Digest of the selected file; None in a selected.json written by hand."""
    classes: dict[str, SelectedCut] | None = None
    """Class or region -> its selection, where there are several; then `threshold` is None."""
    inference: SelectedInference | None = None
    calibration: SelectedCalibration | None = None
    """None where an earlier version selected."""

    def cut_of(self, target: str) -> SelectedCut:
        """Return the selection for a class or region."""
        return (self.classes or {}).get(target, self)


class NestedEstimate(Record):
    """Mean scores of choices on the cases that were left out of the choice."""

    left_out: str
    """What was left out at a time: fold, group or case."""
    dice: Share | None = None
    gap: Share | None = None


class ClassChoiceRecord(Record):
    """Threshold, post-processing and scores of one of several classes or regions."""

    threshold: Share | None = None
    postprocess: list[dict[str, Any]] = Field(default_factory=list)
    dice: Share | None = None
    """None where no case holds or predicts it."""
    gap: Share | None = None
    predicted_fraction: Share | None = None
    labelled_fraction: Share | None = None


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
    classes: dict[str, ClassChoiceRecord] = Field(default_factory=dict)
    """Of several classes or regions each; empty for one."""


class SelectedChoice(ChoiceRecord):
    """The choice of the selection."""

    why: str = ""
    """The reason in one sentence."""
    honest: NestedEstimate | None = None


class SelectionSummary(Record):
    """distribution/summary.json: the selection and what it was chosen from."""

    selected: SelectedChoice
    choices: Annotated[
        tuple[ChoiceRecord, ...], BeforeValidator(partial(valid_records, ChoiceRecord))
    ] = ()
    """Invalid ones are left out."""


class NormalizerRecord(Record):
    """Scaling of intensities in a checkpoint; one entry for each channel, or one for all."""

    name: str
    low: tuple[Number, ...] | None = None
    high: tuple[Number, ...] | None = None
    shift: tuple[Number, ...] | None = None
    scale: tuple[Number, ...] | None = None
    channels: tuple[NormalizerRecord, ...] | None = None
    """A normalizer for each channel, of name "by_channel" only."""

"""Parameters of instances, and the file in which the selection writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from vesuv.errors import InputError, command
from vesuv.files import read_json
from vesuv.inference.members import trained_config
from vesuv.migrations import RECORD
from vesuv.runs.fields import Record, Share, first_fault
from vesuv.runs.folder import RunFolder
from vesuv.runs.records import SelectedInference


class InstanceParameters(Record):
    """How the probability of a boundary, or of objects, becomes instances."""

    foreground_threshold: Share | None = None
    """Foreground probability from which a voxel belongs to an object; None: the probability is that
    of a boundary, and instances fill the volume between it."""
    seed_threshold: Share = 0.3
    """Probability of the boundary, or of the background, below which a voxel lies inside an
    instance; seeds are the places there that are farthest from the others."""
    seed_smoothing: Annotated[float, Field(ge=0.0, le=100.0)] = 2.0
    """Deviation of the Gaussian that smooths the distance to the boundary, in shortest voxel edges;
    more gives fewer and larger fragments."""
    agglomeration_threshold: Share = 0.55
    """Fragments are united while the mean boundary probability of their contact is below this; of
    objects, the mean of how shallow it is, see `vesuv.inference.instances.objects`."""
    smallest_instance: Annotated[int, Field(ge=0, le=2**62)] = 0
    """Instances of fewer voxels join the neighbour across the contact of the lowest mean; objects
    that have none are removed."""

    @model_serializer(mode="wrap")
    def _without_unused(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave the threshold of objects out where there is none, as in former files."""
        content: dict[str, object] = serialize(self)
        return {key: value for key, value in content.items() if value is not None}

    def __str__(self) -> str:
        threshold = self.foreground_threshold
        of_objects = "" if threshold is None else f"foreground from {threshold:g}, "
        return (
            f"{of_objects}seeds below {self.seed_threshold:g} smoothed by {self.seed_smoothing:g}, "
            f"agglomerated below {self.agglomeration_threshold:g}, at least "
            f"{self.smallest_instance} voxels"
        )


class InstanceSelection(Record):
    """instances.json: the parameters that selection chose for a run."""

    parameters: InstanceParameters
    checkpoint: str | None = None
    """Checkpoint that they were chosen with; None in a file written by hand."""
    checkpoint_sha256: str | None = None
    members_sha256: tuple[str, ...] | None = None
    """Checkpoints of the ensemble of a best.json that they were chosen with; None: of runs."""
    boundary: str = "boundary"
    """Class or region whose probability is that of the boundary."""
    foreground: str | None = None
    """Class or region whose objects are the instances; None: they lie between the boundary."""
    channel: Annotated[int, Field(ge=0)] = 0
    """Channel of this class in the probabilities."""
    num_channels: Annotated[int, Field(ge=1)] = 1
    """Channels of the probabilities."""
    inference: SelectedInference = SelectedInference()
    """Inference settings that the probabilities were predicted with."""

    @model_validator(mode="after")
    def _check_kind(self) -> InstanceSelection:
        if (self.foreground is None) != (self.parameters.foreground_threshold is None):
            raise ValueError("parameters.foreground_threshold and foreground belong together")
        return self

    @property
    def role(self) -> str:
        """boundary or foreground: what the probability is that of."""
        return "boundary" if self.foreground is None else "foreground"

    @property
    def class_name(self) -> str:
        """Class or region whose probability is read."""
        return self.foreground or self.boundary

    @property
    def judged(self) -> tuple[object, ...]:
        """Return what runs of an ensemble must agree in."""
        return self.parameters, self.checkpoint, self.class_name, self.channel


def instances_file_of(best: Path) -> Path:
    """Return the file of the parameters that were chosen for a best.json, beside it."""
    return best.with_suffix(".instances.json")


def read_selection(file: Path, best: Path | None = None) -> InstanceSelection:
    """Read instances.json.

    Args:
        file: The file.
        best: The best.json that it belongs to; None: the run that it lies in.

    Raises:
        InputError: It is missing or invalid.
    """
    words = ("--run", file.parent) if best is None else ("--best", best)
    advice = f"{command('instances', *words)} writes it"
    content = RECORD.migrated(read_json(file, advice), file)
    try:
        return InstanceSelection.model_validate(content)
    except ValidationError as fault:
        raise InputError(f"{file}: {first_fault(fault)}; {advice}") from None


def selection_of_runs(runs: Sequence[Path]) -> InstanceSelection:
    """Read the joint selection of runs.

    Raises:
        InputError: No run, one that does not segment, a file is missing or invalid, or the runs do
            not have the same selection.
    """
    if not runs:
        raise InputError(
            "--parameters: name an instances.json, or with --run the runs that have one"
        )
    for run in runs:
        if not RunFolder(run).instances_file.is_file():
            trained_config(RunFolder.open(run), ())  # refuses a run that can have none
    first, *others = (read_selection(RunFolder(run).instances_file) for run in runs)
    for run, other in zip(runs[1:], others, strict=True):
        if other.judged != first.judged:
            raise InputError(
                f"{RunFolder(run).instances_file}: runs that predict together have one choice, "
                f"found another than in {runs[0]}; choose jointly: "
                f"{command('instances', '--run', *runs)}"
            )
    return first

"""Records of bundle.json."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vesuv import migrations
from vesuv.config.labels import LabelsConfig
from vesuv.runs.fields import Epoch, PositiveNumber, Record
from vesuv.runs.records import NormalizerRecord, SelectedModel, TrainingImages

BUNDLE = "bundle.json"
MODEL_CARD = "model_card.md"
FORMAT_VERSION: int = migrations.BUNDLE.version

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=200)]
"""Name of a file in the bundle's folder, never a path."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal."""


class NetworkRecord(Record):
    """A network of a bundle."""

    name: FileName
    """Its files are <name>.safetensors and <name>.yaml."""
    weight: PositiveNumber = 1.0
    """Weight in the mean of the networks' probabilities."""
    epoch: Epoch
    """Epoch of the weights."""
    normalizer: NormalizerRecord
    """Scaling of intensities."""
    selected: SelectedModel | None = None
    """Content of selected.json; None where nothing was selected."""
    training_images: TrainingImages | None = None
    """Grids and intensities of the training cases; None where they are not recorded."""

    @property
    def weights_file(self) -> str:
        return f"{self.name}.safetensors"

    @property
    def config_file(self) -> str:
        return f"{self.name}.yaml"


class BundleRecord(Record):
    """bundle.json."""

    format_version: Literal[1]
    vesuv: str
    """Version that wrote the bundle."""
    licence: str | None = None
    """Licence of the weights; None where the author names none."""
    labels: LabelsConfig
    """Names and label values of the classes in masks."""
    networks: Annotated[tuple[NetworkRecord, ...], Field(min_length=1)]
    """The networks, whose probabilities are averaged."""
    files: dict[FileName, Digest]
    """Name -> digest of the files beside bundle.json, without the model card."""

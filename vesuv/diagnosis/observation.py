"""One line of evidence.jsonl: what was measured at a validation beyond metrics.csv."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

BINS = 100
"""Equal bins of the predicted probability of foreground."""

Counts = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=BINS, max_length=BINS)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Pair = Annotated[str, Field(pattern=r"^\w+\|\w+$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Histogram(_Part):
    """Judged voxels of the tiles by probability of foreground, for each label apart."""

    foreground: Counts
    background: Counts


class Tile(_Part):
    """One validation tile at the validation threshold."""

    case: str
    group: str | None = None
    predicted: Number
    """Share of the judged voxels that is predicted as foreground."""
    labelled: Number
    """Share that is labelled."""
    dice: Number


class Score(_Part):
    """Overlap on a set of tiles, pooled over their voxels."""

    dice: Number
    precision: Number
    recall: Number
    predicted: Number
    labelled: Number
    histogram: Histogram


class Errors(_Part):
    """Wrong voxels of the validation tiles at the threshold that suits each tile set best."""

    right: int
    """Foreground that was found."""
    near: int
    """Wrong voxels within one voxel of foreground on the other side: a boundary drawn elsewhere."""
    far: int
    """All other wrong voxels."""


class Gradients(_Part):
    """Gradients of the loss terms on a few fixed training tiles, by group of layers."""

    cosines: dict[str, dict[Pair, Number]]
    """Group of layers -> "term|term" -> cosine of their gradients."""
    norms: dict[str, dict[str, Number]]
    """Group of layers -> term -> norm of its weighted gradient."""


class Effect(_Part):
    """What one augmentation leaves of the structure where it is applied."""

    p: Number
    """Share of patches that it is applied to."""
    foreground: Number
    """Foreground voxels after it, as a share of those before."""
    contrast: Number
    """Contrast between foreground and the background beside it, as a share of that before."""
    thickness: Number = 1.0
    """Thickness of the foreground, as a share of that before."""


class Structure(_Part):
    """Measured once on whole training patches."""

    spacing: tuple[Number, Number, Number] | None = None
    """Distance from one piece of foreground to the next along z, y, x, in voxels."""
    thickness: Number | None = None
    """Of the foreground, in voxels: the shortest way through, median over its voxels."""


class Labels(_Part):
    """What the prepared store's census says, kept for when the store is gone."""

    values: dict[str, Number]
    """Label value of the files -> share of all voxels."""
    foreground: Number
    """Share of the judged voxels."""
    ignore: Number
    """Share of all voxels."""
    patches_with_foreground: Number
    """Share of all places for a patch."""


class Observation(_Part):
    """What was measured at one validation; None where it was not."""

    version: Literal[1] = 1
    epoch: int
    histogram: Histogram | None = None
    """Of the validation tiles."""
    tiles: tuple[Tile, ...] = ()
    groups: dict[str, Number] = Field(default_factory=dict)
    """Dice by group, pooled over its tiles."""
    train: Score | None = None
    """The same measures on fixed tiles of training cases."""
    errors: Errors | None = None
    gradients: Gradients | None = None
    movement: Number | None = None
    """Change of the weights since the last observation, relative to their size."""
    augmentation: dict[str, Effect] | None = None
    """By name of the augmentation; measured once."""
    structure: Structure | None = None
    labels: Labels | None = None
    seconds: Number | None = None
    """Time that this observation took."""

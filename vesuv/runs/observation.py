"""Records of what a validation observed: lines of evidence.jsonl."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from vesuv.runs.fields import (
    BinCounts,
    Epoch,
    Number,
    Record,
    Share,
    TermPair,
    VoxelCount,
    valid_records,
)


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
    tiles: Annotated[tuple[TileScore, ...], BeforeValidator(partial(valid_records, TileScore))] = ()
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

"""Sections that say what is learnt: model, loss, phases."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from vesuv.config.data import Positive, Probability, Size
from vesuv.config.section import Section

LossName = Literal[
    "dice", "cross_entropy", "focal", "variance", "boundary", "cldice", "connectivity"
]


class Channels(Section):
    in_channels: Size = 1
    """Image channels."""
    out_channels: Size = 1
    """1: one logit, sigmoid (two classes); otherwise one logit a class, softmax."""


class PlainUNetConfig(Channels):
    name: Literal["plain_unet"] = "plain_unet"
    filters: Size = 32
    """Channels of the first level; doubled at each level down."""
    depth: int = Field(default=4, ge=1, le=10)
    """Number of poolings."""


class DynUNetConfig(Channels):
    name: Literal["dynunet"]
    """MONAI's DynUNet with residual blocks."""
    filters: Size = 32
    """Channels of the first level; doubled at each level down, at most 320."""
    depth: int = Field(default=4, ge=2, le=10)
    """Number of down-samplings."""


class SegResNetConfig(Channels):
    name: Literal["segresnet"]
    """MONAI's SegResNet."""
    filters: int = Field(default=16, ge=8, multiple_of=8)
    """Channels of the first level; its group norm has eight groups."""
    blocks_down: tuple[Size, ...] = (1, 2, 2, 4)
    """Residual blocks at each level down."""
    blocks_up: tuple[Size, ...] = (1, 1, 1)
    """Residual blocks at each level up; one fewer than blocks_down."""

    @model_validator(mode="after")
    def _levels(self) -> SegResNetConfig:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError(
                f"blocks_up needs one entry fewer than blocks_down, found {len(self.blocks_up)} "
                f"and {len(self.blocks_down)}"
            )
        return self


class MedNeXtConfig(Channels):
    name: Literal["mednext"]
    """MONAI's MedNeXt."""
    variant: Literal["S", "B", "M", "L"] = "S"
    """Size of the published family."""
    kernel_size: Literal[3, 5] = 3
    """Kernel edge in voxels."""


ModelConfig = Annotated[
    PlainUNetConfig | DynUNetConfig | SegResNetConfig | MedNeXtConfig, Field(discriminator="name")
]


class DiceConfig(Section):
    smooth: float = Field(default=1e-5, ge=0.0)
    """s of (2 sum(py) + s) / (sum(p) + sum(y) + s)."""
    batch: bool = True
    """Sum over the batch before dividing; false: one Dice a patch, then the mean."""


class CrossEntropyConfig(Section):
    positive_weight: Positive = 1.0
    """Weight of foreground voxels, on top of class_weights."""


class FocalConfig(Section):
    gamma: float = Field(default=2.0, ge=0.0)
    """Exponent of (1 - p_y)."""
    alpha: Probability = 0.5
    """Weight of foreground voxels; background has 1 - alpha."""


class VarianceConfig(Section):
    form: Literal["separation", "ccc", "original"] = "separation"
    """separation: 1 - Cov(p, y)/Var(y); ccc: one minus the concordance correlation; original: the
    diary's, for reproducing history."""


class BoundaryConfig(Section):
    form: Literal["band", "distance"] = "distance"
    """distance: Kervadec et al. 2019; band: cross-entropy weighted near the boundary (history)."""
    radius: Size = 5
    """Distance in voxels at which the weight ends."""


class ClDiceConfig(Section):
    iterations: Size = 3
    """Erosions of the soft skeleton; at least half the structure's thickness in voxels."""
    erosion: Literal["cube", "cross"] = "cube"
    """cube: 3x3x3, for sheets; cross: three axes, for tubes."""
    smooth: float = Field(default=1.0, ge=0.0)
    """Added to numerator and denominator of precision and sensitivity."""


class ConnectivityConfig(Section):
    kernel_size: Literal[3, 5, 7] = 3
    """Edge of the max-pooling window in voxels."""


class LossConfig(Section):
    class_weights: tuple[Positive, ...] | None = None
    """Weight of each class, background first, in the voxel-wise terms (cross_entropy, focal)."""
    dice: DiceConfig = DiceConfig()
    cross_entropy: CrossEntropyConfig = CrossEntropyConfig()
    focal: FocalConfig = FocalConfig()
    variance: VarianceConfig = VarianceConfig()
    boundary: BoundaryConfig = BoundaryConfig()
    cldice: ClDiceConfig = ClDiceConfig()
    connectivity: ConnectivityConfig = ConnectivityConfig()


class Phase(Section):
    epochs: tuple[int, int | None]
    """First and last epoch, both included; null as the last: to the end of the run."""
    weights: dict[LossName, Annotated[float, Field(ge=0.0)]]
    """Loss -> weight; a loss that is not named has weight 0."""
    ramp: int = Field(default=0, ge=0)
    """Epochs over which the weights move linearly from the previous phase's; 0: at once."""

    @model_validator(mode="after")
    def _some_weight(self) -> Phase:
        if not any(self.weights.values()):
            raise ValueError("weights needs at least one loss with a weight above 0")
        return self

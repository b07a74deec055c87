"""MONAI's SegResNet; MONAI is imported when the network is built."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import nn

from vesuv.config.data import PositiveInt
from vesuv.config.model import NetworkConfig
from vesuv.types import Shape


class SegResNetConfig(NetworkConfig):
    """`model: {name: segresnet}`."""

    name: Literal["segresnet"] = "segresnet"
    filters: int = Field(default=16, ge=8, multiple_of=8)
    """Channels of the first level; its group norm has eight groups."""
    blocks_down: tuple[PositiveInt, ...] = (1, 2, 2, 4)
    """Residual blocks at each level down."""
    blocks_up: tuple[PositiveInt, ...] = (1, 1, 1)
    """Residual blocks at each level up; one fewer than blocks_down."""

    @model_validator(mode="after")
    def _levels(self) -> SegResNetConfig:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError(
                f"blocks_up needs one entry fewer than blocks_down, found {len(self.blocks_up)} "
                f"and {len(self.blocks_down)}"
            )
        return self

    @property
    def halvings(self) -> Shape:
        levels = len(self.blocks_down) - 1
        return levels, levels, levels

    def build(self) -> nn.Module:
        from monai.networks.nets.segresnet import SegResNet

        network: nn.Module = SegResNet(
            spatial_dims=3,
            init_filters=self.filters,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            blocks_down=self.blocks_down,
            blocks_up=self.blocks_up,
        )
        return network

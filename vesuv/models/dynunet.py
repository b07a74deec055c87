"""MONAI's DynUNet; MONAI is imported when the network is built."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import nn

from vesuv.config.data import PositiveInt
from vesuv.config.model import NetworkConfig
from vesuv.types import Shape

WIDEST = 320
"""Largest number of channels of a level, as in nnU-Net's 3D networks."""


class DynUNetConfig(NetworkConfig):
    """`model: {name: dynunet}`: DynUNet with residual blocks."""

    name: Literal["dynunet"] = "dynunet"
    filters: PositiveInt = 32
    """Channels of the first level; doubled at each level down, at most 320."""
    depth: int = Field(default=4, ge=2, le=10)
    """Number of down-samplings."""

    @property
    def halvings(self) -> Shape:
        return self.depth, self.depth, self.depth

    def build(self) -> nn.Module:
        from monai.networks.nets.dynunet import DynUNet

        levels = self.depth + 1
        network: nn.Module = DynUNet(
            spatial_dims=3,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            kernel_size=[3] * levels,
            strides=[1] + [2] * self.depth,
            upsample_kernel_size=[2] * self.depth,
            filters=[min(self.filters * 2**level, WIDEST) for level in range(levels)],
            res_block=True,
            deep_supervision=False,
        )
        return network

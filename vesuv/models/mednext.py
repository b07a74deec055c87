"""MONAI's MedNeXt; MONAI is imported when the network is built."""

from __future__ import annotations

from typing import Literal

from torch import nn

from vesuv.config.model import NetworkConfig
from vesuv.types import Shape


class MedNeXtConfig(NetworkConfig):
    """`model: {name: mednext}`: one of the four published sizes."""

    name: Literal["mednext"] = "mednext"
    variant: Literal["S", "B", "M", "L"] = "S"
    """Size of the network in the published family."""
    kernel_size: Literal[3, 5] = 3
    """Kernel edge in voxels."""

    @property
    def halvings(self) -> Shape:
        return 4, 4, 4

    def build(self) -> nn.Module:
        from monai.networks.nets.mednext import create_mednext

        network: nn.Module = create_mednext(
            variant=self.variant,
            spatial_dims=3,
            in_channels=self.in_channels,
            out_channels=self.out_channels,
            kernel_size=self.kernel_size,
            deep_supervision=False,
        )
        return network

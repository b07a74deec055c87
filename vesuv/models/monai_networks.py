"""MONAI's networks by name; MONAI is imported when one of them is built, not before."""

from __future__ import annotations

from torch import nn

from vesuv.config.network import DynUNetConfig, MedNeXtConfig, SegResNetConfig

DYNUNET_WIDEST = 320
"""nnU-Net's limit on the channels of a 3D level."""


def build_dynunet(config: DynUNetConfig) -> nn.Module:
    """Build DynUNet with residual blocks, filters doubled at each level down."""
    from monai.networks.nets.dynunet import DynUNet

    levels = config.depth + 1
    network: nn.Module = DynUNet(
        spatial_dims=3,
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        kernel_size=[3] * levels,
        strides=[1] + [2] * config.depth,
        upsample_kernel_size=[2] * config.depth,
        filters=[min(config.filters * 2**level, DYNUNET_WIDEST) for level in range(levels)],
        res_block=True,
        deep_supervision=False,
    )
    return network


def build_segresnet(config: SegResNetConfig) -> nn.Module:
    """Build SegResNet."""
    from monai.networks.nets.segresnet import SegResNet

    network: nn.Module = SegResNet(
        spatial_dims=3,
        init_filters=config.filters,
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        blocks_down=config.blocks_down,
        blocks_up=config.blocks_up,
    )
    return network


def build_mednext(config: MedNeXtConfig) -> nn.Module:
    """Build one of the four published sizes of MedNeXt."""
    from monai.networks.nets.mednext import create_mednext

    network: nn.Module = create_mednext(
        variant=config.variant,
        spatial_dims=3,
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        kernel_size=config.kernel_size,
        deep_supervision=False,
    )
    return network

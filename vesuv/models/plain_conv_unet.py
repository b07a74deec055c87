"""nnU-Net's default network."""

from __future__ import annotations

from typing import Literal

from torch import nn

from vesuv.config.data import PositiveInt
from vesuv.models.stages import StagesConfig

_CONVOLUTIONS = 2
"""Convolutions of a stage in nnU-Net's plans."""


class PlainConvUNetConfig(StagesConfig):
    """`model: {name: plain_conv_unet}`: nnU-Net's PlainConvUNet."""

    name: Literal["plain_conv_unet"] = "plain_conv_unet"
    n_conv_per_stage: tuple[PositiveInt, ...] | None = None
    """Convolutions of each encoder stage; null: 2."""

    def _lengths(self) -> dict[str, int]:
        return {**super()._lengths(), "n_conv_per_stage": self.num_stages}

    def build(self) -> nn.Module:
        convolutions = self.n_conv_per_stage or (_CONVOLUTIONS,) * self.num_stages
        return self._build(
            "PlainConvUNet", decoder=_CONVOLUTIONS, n_conv_per_stage=list(convolutions)
        )

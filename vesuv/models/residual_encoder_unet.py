"""nnU-Net's network with a residual encoder."""

from __future__ import annotations

from typing import Literal

from torch import nn

from vesuv.config.data import PositiveInt
from vesuv.models.stages import StagesConfig

_BLOCKS = (1, 3, 4)
"""Blocks of the first stages in nnU-Net's plans."""
_FURTHER_BLOCKS = 6
"""Blocks of each further stage."""


def stage_blocks(num_stages: int) -> tuple[int, ...]:
    """Return nnU-Net's number of residual blocks of each encoder stage."""
    return (*_BLOCKS, *(_FURTHER_BLOCKS,) * num_stages)[:num_stages]


class ResidualEncoderUNetConfig(StagesConfig):
    """`model: {name: residual_encoder_unet}`: nnU-Net's ResidualEncoderUNet."""

    name: Literal["residual_encoder_unet"] = "residual_encoder_unet"
    n_blocks_per_stage: tuple[PositiveInt, ...] | None = None
    """Residual blocks of each encoder stage; null: 1, 3, 4, then 6."""

    def _lengths(self) -> dict[str, int]:
        return {**super()._lengths(), "n_blocks_per_stage": self.num_stages}

    def build(self) -> nn.Module:
        blocks = self.n_blocks_per_stage or stage_blocks(self.num_stages)
        return self._build("ResidualEncoderUNet", decoder=1, n_blocks_per_stage=list(blocks))

"""The section of what a run measures for its diagnosis while it trains."""

from __future__ import annotations

from pydantic import Field

from vesuv.config.data import PositiveInt
from vesuv.config.section import Section


class DiagnosisConfig(Section):
    enabled: bool = True
    """Measure evidence and report findings at each validation."""
    train_tiles: int = Field(default=4, ge=0)
    """Fixed tiles of training cases that are scored beside the validation tiles."""
    gradients_every: int = Field(default=5, ge=0)
    """Epochs between two comparisons of the loss terms' gradients; 0: never."""
    gradient_tiles: PositiveInt = 2
    """Training tiles that those gradients are computed on."""
    probe_patches: PositiveInt = 8
    """Training patches that each augmentation's effect is measured on at the start."""

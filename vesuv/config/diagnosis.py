"""The section that says how much a run looks at itself while it trains."""

from __future__ import annotations

from pydantic import Field

from vesuv.config.data import Size
from vesuv.config.section import Section


class DiagnosisConfig(Section):
    enabled: bool = True
    """Gather evidence and report findings at each validation."""
    train_tiles: int = Field(default=4, ge=0)
    """Fixed tiles of training cases that are scored beside the validation tiles."""
    gradients_every: int = Field(default=5, ge=0)
    """Epochs between two looks at whether the loss terms' gradients oppose each other; 0: never."""
    gradient_tiles: Size = 2
    """Training tiles that those gradients are taken on."""
    probe_patches: Size = 8
    """Training patches whose structure is measured at the start, with and without augmentation."""

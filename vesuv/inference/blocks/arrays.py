"""The arrays of an output, by their place below it, and which of them a prediction writes."""

from __future__ import annotations

from vesuv.inference.blocks.journal import FOLDER
from vesuv.inference.blocks.settings import BlockSettings

PROBABILITIES, UNCERTAINTY = "probabilities", "uncertainty"
"""Groups inside the image of the mask."""
MASK_LEVEL, LEVELS_LEVEL, UNCERTAINTY_LEVEL = "0", f"{PROBABILITIES}/0", f"{UNCERTAINTY}/0"
"""Finest level of each image."""
UNCALIBRATED_LEVEL = f"{FOLDER}/uncalibrated/0"
"""Levels of probability that the post-processing needs beside calibrated ones; then removed."""
WITH_CHANNELS = frozenset({LEVELS_LEVEL, UNCALIBRATED_LEVEL})
"""Arrays (k, z, y, x); the others are (z, y, x)."""


def written_by_blocks(settings: BlockSettings, *, has_chain: bool) -> tuple[str, ...]:
    """Return the arrays that blocks are written to.

    Args:
        settings: What the user asks for.
        has_chain: Whether post-processing makes the mask after the last block.
    """
    is_written = {
        MASK_LEVEL: not has_chain,
        LEVELS_LEVEL: settings.keep_probabilities or has_chain,
        UNCALIBRATED_LEVEL: has_chain and settings.calibrated,
        UNCERTAINTY_LEVEL: settings.uncertainty,
    }
    return tuple(name for name, value in is_written.items() if value)

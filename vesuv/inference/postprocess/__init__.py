"""Post-processing: steps from probabilities to a mask, and chains of steps.

Foreground is 26-connected here, as in hysteresis and in VOI, so background is 6-connected. Voxels
outside the volume are background. `diagonal_fill` is for measures with 6-connected foreground.
"""

from __future__ import annotations

import numpy as np

from vesuv.config.postprocess import Chain, Step
from vesuv.inference.postprocess.components import FillCavities, KeepLargest, RemoveSmall
from vesuv.inference.postprocess.cuts import Hysteresis, Threshold
from vesuv.inference.postprocess.diagonals import DiagonalFill
from vesuv.inference.postprocess.holes import PlugHoles
from vesuv.inference.postprocess.morphology import Closing, Opening
from vesuv.io.formats.volume import NO_SPACING
from vesuv.types import Array, Mask, Spacing

STEPS: dict[str, type[Step]] = {
    "threshold": Threshold,
    "hysteresis": Hysteresis,
    "remove_small": RemoveSmall,
    "fill_cavities": FillCavities,
    "plug_holes": PlugHoles,
    "opening": Opening,
    "closing": Closing,
    "diagonal_fill": DiagonalFill,
    "keep_largest": KeepLargest,
}
"""Name in the configuration -> step."""


def apply_chain(volume: Array, chain: Chain, spacing: Spacing = NO_SPACING) -> Mask:
    """Apply steps in their order.

    Args:
        volume: Probabilities (z, y, x) as floats, or as uint8 in units of 1/255; or a mask.
        chain: Begins with a threshold or hysteresis if and only if `volume` holds probabilities:
            `vesuv.config.postprocess.with_threshold` ensures this.
        spacing: Voxel edges (z, y, x) of the volume, in the unit of the steps' `volume` and
            `distance`.

    Returns:
        A new mask of the same shape.

    Raises:
        InputError: A `distance` spans too many voxels of this spacing.
    """
    mask = volume
    for step in chain:
        assert step.cuts == (mask.dtype != np.bool_), (step, mask.dtype)
        mask = step(mask, spacing)
    assert mask.dtype == np.bool_, (mask.dtype, chain)
    return mask


__all__ = ["STEPS", "apply_chain"]

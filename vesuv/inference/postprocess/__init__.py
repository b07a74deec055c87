"""From probabilities to a mask: small functions, each with its step, and chains of steps.

Foreground is 26-connected here, as in hysteresis and in VOI, so that background is 6-connected; all
beyond the volume counts as background. `diagonal_fill` is for judges that see it the other way.
"""

from __future__ import annotations

import numpy as np

from vesuv.config.postprocess import Chain, Step
from vesuv.inference.postprocess.components import FillCavities, KeepLargest, RemoveSmall
from vesuv.inference.postprocess.cuts import Hysteresis, Threshold
from vesuv.inference.postprocess.diagonals import DiagonalFill
from vesuv.inference.postprocess.holes import PlugHoles
from vesuv.inference.postprocess.morphology import Closing, Opening
from vesuv.types import Array, Mask

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


def apply_chain(volume: Array, chain: Chain) -> Mask:
    """Apply steps in their order.

    Args:
        volume: Probabilities (z, y, x) as floats, or as uint8 that counts 255ths; or a mask, which
            no step may cut again.
        chain: Begins with a step that cuts exactly where `volume` is not yet a mask:
            `vesuv.config.postprocess.with_threshold` sees to it.

    Returns:
        A mask of the same shape; `volume` itself is not changed.
    """
    mask = volume
    for step in chain:
        assert step.cuts == (mask.dtype != np.bool_), (step, mask.dtype)
        mask = step(mask)
    assert mask.dtype == np.bool_, (mask.dtype, chain)
    return mask


__all__ = ["STEPS", "apply_chain"]

"""From probabilities to a mask: one small function a step, and chains of them.

Foreground is 26-connected here, as in hysteresis and in VOI, so that background is 6-connected; all
beyond the volume counts as background. `diagonal_fill` is for judges that see it the other way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesuv.config.postprocess import CUTS, Chain
from vesuv.data.components import Mask
from vesuv.inference.postprocess.components import fill_cavities, keep_largest, remove_small
from vesuv.inference.postprocess.cuts import hysteresis, threshold
from vesuv.inference.postprocess.diagonals import diagonal_fill
from vesuv.inference.postprocess.holes import plug_holes
from vesuv.inference.postprocess.morphology import closing, opening

STEPS: dict[str, Callable[..., Mask]] = {
    "threshold": threshold,
    "hysteresis": hysteresis,
    "remove_small": remove_small,
    "fill_cavities": fill_cavities,
    "plug_holes": plug_holes,
    "opening": opening,
    "closing": closing,
    "diagonal_fill": diagonal_fill,
    "keep_largest": keep_largest,
}
"""Name in the configuration -> function of a volume and the section's other keys."""


def apply_chain(volume: NDArray[Any], chain: Chain) -> Mask:
    """Apply steps in their order.

    Args:
        volume: Probabilities (z, y, x) as floats, or as uint8 that counts 255ths; or a mask, which
            no step may cut again.
        chain: Begins with threshold or hysteresis exactly where `volume` is not yet a mask:
            `vesuv.config.postprocess.with_threshold` sees to it.

    Returns:
        A mask of the same shape; `volume` itself is not changed.
    """
    mask = volume
    for step in chain:
        assert isinstance(step, CUTS) == (mask.dtype != np.bool_), (step, mask.dtype)
        mask = STEPS[step.name](mask, **step.model_dump(exclude={"name"}))
    assert mask.dtype == np.bool_, (mask.dtype, chain)
    return mask

"""From probabilities to a mask, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesuv.config.postprocess import Chain

Mask = NDArray[np.bool_]


def apply_chain(volume: NDArray[Any], chain: Chain) -> Mask:
    """Apply steps in their order.

    Args:
        volume: Probabilities (z, y, x) as floats, or as uint8 that counts 255ths; or a mask, which
            no step may cut again.
        chain: Begins with threshold or hysteresis exactly where `volume` is not yet a mask:
            `vesuv.config.postprocess.with_threshold` sees to it.

    Returns:
        A new mask of the same shape.
    """
    raise AssertionError((volume.shape, chain))

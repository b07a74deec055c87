"""Probabilities of any number of classes to class indices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vesuv.config.postprocess import Chain, begins_with_cut, with_threshold
from vesuv.inference.postprocess import apply_chain

ClassArray = npt.NDArray[np.uint8]


def class_mask(probs: Tensor, threshold: float | None, chain: Chain) -> ClassArray:
    """Return class indices (z, y, x) of probabilities (k, z, y, x).

    The steps see foreground as one, whatever its classes: several classes are cut by one minus the
    background's probability, or by the likeliest class where no step cuts. A foreground voxel then
    is of the likeliest foreground class, also where a step has filled it.

    Args:
        probs: One channel of foreground probability, or one a class.
        threshold: Of one channel, where the chain does not begin with a cut; else None.
        chain: Steps on the foreground.
    """
    if len(probs) == 1:
        assert threshold is not None or begins_with_cut(chain)
        whole = chain if threshold is None else with_threshold(chain, threshold)
        return apply_chain(probs[0].numpy(), whole).astype(np.uint8)
    likeliest = probs[1:].argmax(dim=0).numpy() + 1
    if begins_with_cut(chain):
        mask = apply_chain((1.0 - probs[0]).numpy(), chain)
    else:
        mask = apply_chain((probs.argmax(dim=0) > 0).numpy(), chain)
    return np.where(mask, likeliest, 0).astype(np.uint8)

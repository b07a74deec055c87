"""Class indices from probabilities of any number of classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vesuv.config.postprocess import Chain, begins_with_cut, with_threshold
from vesuv.inference.levels import round_to_steps
from vesuv.inference.postprocess import apply_chain
from vesuv.types import ClassArray


@dataclass(frozen=True)
class MaskSettings:
    """Threshold and post-processing that turn probabilities into a mask."""

    threshold: float | None
    """Smallest probability of foreground; None for several classes, and where `chain` begins with a
    threshold or hysteresis."""
    chain: Chain = ()
    """Post-processing steps of the foreground."""

    def classes(self, probs: Tensor) -> ClassArray:
        """Return class indices (z, y, x) of probabilities.

        Post-processing works on one foreground of all classes. With several classes, a threshold
        or hysteresis of the chain takes one minus the probability of background; without one, a
        voxel is foreground where the likeliest class is not background. Each foreground voxel gets
        its likeliest foreground class, also where a step has filled it.

        Args:
            probs: (k, z, y, x), one channel of foreground probability, or one for each class;
                rounded to steps of 1/200, see `vesuv.inference.levels`.
        """
        probs = round_to_steps(probs)
        if len(probs) == 1:
            assert self.threshold is not None or begins_with_cut(self.chain)
            chain = self.chain
            if self.threshold is not None:
                chain = with_threshold(chain, self.threshold)
            return apply_chain(probs[0].numpy(), chain).astype(np.uint8)
        likeliest = probs[1:].argmax(dim=0).numpy() + 1
        if begins_with_cut(self.chain):
            mask = apply_chain((1.0 - probs[0]).numpy(), self.chain)
        else:
            mask = apply_chain((probs.argmax(dim=0) > 0).numpy(), self.chain)
        return np.where(mask, likeliest, 0).astype(np.uint8)

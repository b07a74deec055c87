"""Probabilities of any number of classes to class indices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vesuv.config.postprocess import Chain, begins_with_cut, with_threshold
from vesuv.inference.levels import in_steps
from vesuv.inference.postprocess import apply_chain
from vesuv.types import ClassArray


@dataclass(frozen=True)
class MaskSettings:
    """The cut and the steps that turn the probabilities of every volume into a mask."""

    threshold: float | None
    """Probability from which a voxel is foreground; None for several classes, and where `chain`
    begins with a cut of its own."""
    chain: Chain = ()
    """Steps on the foreground."""

    def classes(self, probs: Tensor) -> ClassArray:
        """Return class indices (z, y, x) of probabilities.

        The steps see foreground as one, whatever its classes: several classes are cut by one minus
        the background's probability, or by the likeliest class where no step cuts. A foreground
        voxel then is of the likeliest foreground class, also where a step has filled it.

        Args:
            probs: (k, z, y, x), one channel of foreground probability, or one a class; they count
                in steps of 1/200, see `vesuv.inference.levels`.
        """
        probs = in_steps(probs)
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

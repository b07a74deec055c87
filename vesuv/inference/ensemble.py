"""Several networks as one: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vesuv.models.heads import activate


@dataclass(frozen=True)
class Ensemble:
    """Networks whose probabilities, not logits, are averaged on each batch of windows.

    Args:
        networks: Give logits (b, k, z, y, x), all of one k; one network is an ensemble too.
    """

    networks: tuple[Callable[[Tensor], Tensor], ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Return probabilities (b, k, z, y, x) in float32."""
        total = activate(self.networks[0](images).float())
        for network in self.networks[1:]:
            total = total + activate(network(images).float())
        return total / len(self.networks)

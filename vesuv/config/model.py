"""The section of the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from vesuv.config.data import PositiveInt
from vesuv.config.registry import Registry
from vesuv.config.section import Section
from vesuv.types import Shape

if TYPE_CHECKING:
    from torch import nn


class NetworkConfig(Section, ABC):
    """Base of all networks' sections; each builds its network.

    The network maps images (b, in_channels, z, y, x) to logits (b, out_channels, z, y, x). Its last
    1x1x1 convolution computes the logits.
    """

    name: str
    """Network."""
    in_channels: PositiveInt = 1
    """Image channels. They follow from the data where they are not written."""
    out_channels: PositiveInt = 1
    """1: one logit, sigmoid (two classes); otherwise one logit a class, softmax, or with
    `labels.regions` one a region, sigmoid each. It follows from the labels where not written."""

    @property
    def written_channels(self) -> int | None:
        """`in_channels` where it was written or follows from data already; else None."""
        return self.in_channels if "in_channels" in self.model_fields_set else None

    @property
    @abstractmethod
    def halvings(self) -> Shape:
        """Number of down-samplings by 2 along z, y, x; edges are multiples of 2 to this power."""

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network with initial weights."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a key that only some networks have."""


NETWORKS: Registry[NetworkConfig] = Registry(
    "vesuv.models", "vesuv.models:NETWORKS", "vesuv.config.model:NetworkConfig", "network"
)

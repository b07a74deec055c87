"""The section that says which network is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from vesuv.config.data import Size
from vesuv.config.registry import Registry
from vesuv.config.section import Section

if TYPE_CHECKING:
    from torch import nn


class NetworkConfig(Section, ABC):
    """Base of all networks' sections; each builds its network.

    The network maps images (b, in_channels, z, y, x) to logits (b, out_channels, z, y, x). Its last
    1x1x1 convolution makes the logits.
    """

    name: str
    in_channels: Size = 1
    """Image channels."""
    out_channels: Size = 1
    """1: one logit, sigmoid (two classes); otherwise one logit a class, softmax."""

    @property
    @abstractmethod
    def halvings(self) -> int:
        """How often the network halves a patch; its edges are multiples of 2 to this power."""

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network with its first weights."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a key of one kind of network."""


NETWORKS: Registry[NetworkConfig] = Registry(
    "vesuv.models", "vesuv.models:NETWORKS", "vesuv.config.model:NetworkConfig", "network"
)

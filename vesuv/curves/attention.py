"""Layers of the transformer; queries attend to the tokens near their depth."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vesuv.curves.config import DetectorConfig

_NEARNESS_GAIN = 1.5
"""Scale of the initial projections of depths: the larger, the nearer tokens a query reads."""


def depth_codes(depth: Tensor, width: int) -> Tensor:
    """Return sines and cosines of depths from 0 to 1, (..., width)."""
    frequency = math.pi * 40.0 ** (torch.arange(width // 2, device=depth.device) / (width // 2))
    angle = depth[..., None] * frequency
    return torch.cat([torch.sin(angle), torch.cos(angle)], dim=-1)


class EncoderLayer(nn.Module):
    """Self-attention over the tokens of a strip, norms first."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.attention = Attention(config.width, config.heads)
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(2))
        self.feedforward = _feedforward(config)

    def forward(self, tokens: Tensor, codes: Tensor) -> Tensor:
        inner = self.norms[0](tokens)
        tokens = tokens + self.attention(inner + codes, inner + codes, inner)
        result: Tensor = tokens + self.feedforward(self.norms[1](tokens))
        return result


class DecoderLayer(nn.Module):
    """Self-attention among queries, then attention to the tokens, norms first."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.self_attention = Attention(config.width, config.heads)
        self.cross_attention = Attention(config.width, config.heads)
        self.places = PlaceAttention(config.width, config.heads)
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(3))
        self.feedforward = _feedforward(config)

    def forward(self, queries: Tensor, place: Tensor, tokens: Tensor, codes: Tensor) -> Tensor:
        inner = self.norms[0](queries)
        queries = queries + self.self_attention(inner + place, inner + place, inner)
        inner = self.norms[1](queries)
        nearness = self.places(place, codes)
        queries = queries + self.cross_attention(inner, tokens, tokens, nearness)
        result: Tensor = queries + self.feedforward(self.norms[2](queries))
        return result


class Attention(nn.Module):
    """Multi-head attention with keys and values of different places."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.ModuleList(nn.Linear(width, width) for _ in range(4))

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, nearness: Tensor | None = None
    ) -> Tensor:
        query, key, value = (
            project(part).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project, part in zip(self.project, (queries, keys, values), strict=False)
        )
        if nearness is not None:
            nearness = nearness.to(query.dtype)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=nearness)
        result: Tensor = self.project[3](mixed.transpose(1, 2).flatten(2))
        return result


class PlaceAttention(nn.Module):
    """What the depths of queries and tokens add to the logits of attention, for each head.

    It begins with one projection for both, so that a query reads the tokens near its depth.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        first = nn.Linear(width, width, bias=False)
        second = nn.Linear(width, width, bias=False)
        nn.init.orthogonal_(first.weight, gain=_NEARNESS_GAIN)
        second.weight.data.copy_(first.weight.data)
        self.project = nn.ModuleList([first, second])

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        """Return (..., heads, queries, tokens)."""
        one, other = (
            project(place).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for project, place in zip(self.project, (queries, tokens), strict=True)
        )
        nearness: Tensor = one @ other.transpose(-2, -1) / math.sqrt(one.shape[-1])
        return nearness


def _feedforward(config: DetectorConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(config.width, config.feedforward),
        nn.ReLU(),
        nn.Linear(config.feedforward, config.width),
    )

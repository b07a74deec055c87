"""The detector: encoder, transformer, and learned queries that each become a pick or none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vesuv.curves.config import DetectorConfig, StripsConfig
from vesuv.curves.encoder import Encoder, depth_codes, harmonics, standardised
from vesuv.curves.picks import KINDS, Pick

NONE = len(KINDS)
"""Class of queries without a curve."""
_MAX_DIP = 90.0
_NEARNESS_GAIN = 1.5
"""Scale of the initial projections of depths: the larger, the nearer tokens a query reads."""
_PRIOR = 0.1
"""Share of queries with a curve that the initial biases assume."""


@dataclass(frozen=True)
class Queries:
    """Output of one layer of the decoder."""

    logits: Tensor
    """(b, queries, kinds + 1), the last of no curve."""
    depth: Tensor
    """Share of the strip's rows, (b, queries), from 0 to 1."""
    dip: Tensor
    """Share of 90 degrees, (b, queries), from 0 to 1."""
    direction: Tensor
    """Cosine and sine of the azimuth, (b, queries, 2)."""


class Detector(nn.Module):
    """Strips (b, 2, rows, columns) to the queries of each layer of the decoder.

    A token is a few rows of the strip, with the harmonics of its features around the hole.

    Source:
        Carion et al. 2020, End-to-End Object Detection with Transformers. Two changes of later
        work let it converge sooner: the position of a query is a learned depth (DAB-DETR, Liu et
        al. 2022), and content and position attend apart (Conditional DETR, Meng et al. 2021).
    """

    def __init__(self, config: DetectorConfig, strips: StripsConfig) -> None:
        super().__init__()
        width = config.width
        self.encoder = Encoder(config)
        self.order = config.harmonics
        num_values = config.filters[-1] * (1 + 2 * self.order)
        self.project = nn.Linear(num_values, width)
        rows = strips.rows // config.stride[0]
        codes = depth_codes((torch.arange(rows) + 0.5) / rows, width)
        self.register_buffer("codes", codes, persistent=False)
        self.encoder_layers = nn.ModuleList(
            EncoderLayer(config) for _ in range(config.encoder_layers)
        )
        self.decoder_layers = nn.ModuleList(
            DecoderLayer(config) for _ in range(config.decoder_layers)
        )
        self.content = nn.Parameter(0.02 * torch.randn(config.queries, width))
        depths = (torch.arange(config.queries) + 0.5) / config.queries
        self.reference = nn.Parameter(torch.logit(depths))
        self.norm = nn.LayerNorm(width)
        self.classify = nn.Linear(width, len(KINDS) + 1)
        self.locate = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4))
        self._initialise()

    def _initialise(self) -> None:
        """Begin without curves, at the queries' own depths."""
        with torch.no_grad():
            self.classify.bias.zero_()
            self.classify.bias[NONE] = math.log(len(KINDS) * (1 - _PRIOR) / _PRIOR)
            last = self.locate[2]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(0.1)
            last.bias.zero_()

    def forward(self, strips: Tensor) -> list[Queries]:
        waves = standardised(harmonics(self.encoder(strips).float(), self.order))
        tokens = self.project(waves.transpose(1, 2).flatten(2))
        codes = self.get_buffer("codes").to(tokens.dtype)
        tokens = tokens + codes
        for layer in self.encoder_layers:
            tokens = layer(tokens, codes)
        batch = len(strips)
        place = depth_codes(self.reference.sigmoid(), codes.shape[1])
        queries = self.content.expand(batch, -1, -1)
        results = []
        for layer in self.decoder_layers:
            queries = layer(queries, place, tokens, codes)
            results.append(self._read(self.norm(queries)))
        return results

    def _read(self, queries: Tensor) -> Queries:
        parameters = self.locate(queries).float()
        return Queries(
            logits=self.classify(queries).float(),
            depth=(parameters[..., 0] + self.reference).sigmoid(),
            dip=parameters[..., 1].sigmoid(),
            direction=parameters[..., 2:],
        )


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
        """Return (heads, queries, tokens)."""
        one, other = (
            project(place).unflatten(-1, (self.heads, -1)).transpose(0, 1)
            for project, place in zip(self.project, (queries, tokens), strict=True)
        )
        nearness: Tensor = one @ other.transpose(1, 2) / math.sqrt(one.shape[-1])
        return nearness


def _feedforward(config: DetectorConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(config.width, config.feedforward),
        nn.ReLU(),
        nn.Linear(config.feedforward, config.width),
    )


def picks_of(queries: Queries, strip: int, rows: int, lowest: float) -> list[Pick]:
    """Return the queries of one strip that are more likely a curve than `lowest`, as picks."""
    probs = queries.logits[strip].softmax(-1)[:, :NONE]
    scores, kinds = probs.max(-1)
    cosine, sine = queries.direction[strip].unbind(-1)
    azimuths = torch.rad2deg(torch.atan2(sine, cosine)) % 360
    columns = (queries.depth[strip] * rows - 0.5, queries.dip[strip] * _MAX_DIP, azimuths)
    values = zip(*(part.tolist() for part in (*columns, kinds, scores)), strict=True)
    return [Pick(*value) for value in values if value[-1] >= lowest]


def targets_of(picks: tuple[Pick, ...], rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return kinds (n,) and parameters (n, 4) of picks: depth, dip, cosine and sine."""
    kinds = torch.tensor([pick.kind for pick in picks], dtype=torch.long, device=device)
    parameters = torch.tensor(
        [
            [
                (pick.row + 0.5) / rows,
                pick.dip / _MAX_DIP,
                math.cos(math.radians(pick.azimuth)),
                math.sin(math.radians(pick.azimuth)),
            ]
            for pick in picks
        ],
        dtype=torch.float32,
        device=device,
    ).reshape(-1, 4)
    return kinds, parameters


def stacked(queries: Queries) -> Tensor:
    """Return the parameters of queries as `targets_of` orders them, (b, queries, 4)."""
    return torch.cat([queries.depth[..., None], queries.dip[..., None], queries.direction], dim=-1)

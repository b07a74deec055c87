"""The detector: encoder, Hough transform, transformer, and queries, each a pick or none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vesuv.curves.attention import DecoderLayer, EncoderLayer, depth_codes
from vesuv.curves.config import DetectorConfig, StripsConfig
from vesuv.curves.encoder import Encoder
from vesuv.curves.hough_layer import HoughLayer, parameter_grid
from vesuv.curves.picks import KINDS, Pick

NONE = len(KINDS)
"""Class of queries without a curve."""
_MAX_DIP = 90.0
_PRIOR = 0.1
"""Share of queries with a curve that the initial biases assume."""
_FEW = -2.0
"""Initial logit of the evidence: little of a strip lies on a curve."""


@dataclass(frozen=True)
class Queries:
    """Proposals of the tokens, or output of one layer of the decoder."""

    logits: Tensor
    """(b, queries, kinds + 1), the last of no curve."""
    depth: Tensor
    """Share of the strip's rows, (b, queries), from 0 to 1."""
    dip: Tensor
    """Share of 90 degrees, in the reference hole, (b, queries), from 0 to 1."""
    direction: Tensor
    """Cosine and sine of the azimuth, (b, queries, 2)."""


@dataclass(frozen=True)
class Detection:
    """Output of the detector."""

    layers: tuple[Queries, ...]
    """The tokens' proposals, then the queries of each layer of the decoder."""
    masks: Tensor
    """Logits of the curves of each kind, (b, kinds, rows, columns of the features)."""


class Head(nn.Module):
    """Kind and parameters of tokens or queries; it begins without curves, at their reference."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.classify = nn.Linear(width, len(KINDS) + 1)
        self.hidden = nn.Linear(width, width)
        self.locate = nn.Linear(width, 4)
        with torch.no_grad():
            self.classify.bias.zero_()
            self.classify.bias[NONE] = math.log(len(KINDS) * (1 - _PRIOR) / _PRIOR)
            self.locate.weight.mul_(0.1)
            self.locate.bias.zero_()

    def forward(self, tokens: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (b, n, kinds + 1), and the reference (b, n, 4) moved."""
        inner = self.norm(tokens)
        return self.classify(inner), reference + self.locate(F.relu(self.hidden(inner)))


class Detector(nn.Module):
    """Strips (b, 2, rows, columns) to picks.

    The encoder draws evidence of curves, which is averaged along every sinusoid. A token is a row
    of features, with these averages for all amplitudes and phases. Each token proposes a curve, and
    the best proposals become the queries of the decoder, which moves them.

    Source:
        Carion et al. 2020, End-to-End Object Detection with Transformers. Queries that begin as the
        encoder's proposals are those of Deformable DETR (Zhu et al. 2021), and content and position
        attend apart as in Conditional DETR (Meng et al. 2021): both let it converge sooner.
    """

    def __init__(self, config: DetectorConfig, strips: StripsConfig) -> None:
        super().__init__()
        width, rows = config.width, strips.rows // config.stride[0]
        self.queries = min(config.queries, rows)
        self.encoder = Encoder(config)
        self.evidence = nn.Conv2d(config.filters[-1], config.evidence, 1)
        nn.init.constant_(self.evidence.bias, _FEW)  # type: ignore[arg-type]
        self.hough = HoughLayer(config, rows, config.stride[0])
        self.mix = nn.Conv3d(config.evidence + 1, config.hough_channels, 1)
        self.peak = nn.Conv3d(config.hough_channels, 1, 1)
        self.register_buffer("grid", parameter_grid(config), persistent=False)
        num_values = config.hough_channels * config.amplitudes * config.phases
        self.project = nn.Linear(num_values, width)
        self.norm = nn.LayerNorm(width)
        depths = (torch.arange(rows) * config.stride[0] + 0.5) / strips.rows
        self.register_buffer("depths", torch.logit(depths), persistent=False)
        self.register_buffer("codes", depth_codes(depths, width), persistent=False)
        layers = range(config.encoder_layers)
        self.encoder_layers = nn.ModuleList(EncoderLayer(config) for _ in layers)
        self.propose = Head(width)
        self.begin = nn.Linear(width, width)
        layers = range(config.decoder_layers)
        self.decoder_layers = nn.ModuleList(DecoderLayer(config) for _ in layers)
        self.refine = Head(width)

    def forward(self, strips: Tensor) -> Detection:
        evidence = self.evidence(self.encoder(strips)).float()
        with torch.autocast(strips.device.type, enabled=False):
            tokens, reference = self._tokens(evidence, strips[:, 1:].float())
        codes = self.get_buffer("codes").to(tokens.dtype)
        tokens = tokens + codes
        for layer in self.encoder_layers:
            tokens = layer(tokens, codes)
        logits, values = self.propose(tokens, reference)
        best = (1 - logits.softmax(-1)[..., NONE]).topk(self.queries, dim=1).indices[..., None]
        queries = self.begin(_taken(self.propose.norm(tokens), best).detach())
        begin = _taken(values, best).detach()
        place = depth_codes(begin[..., 0].sigmoid(), codes.shape[1]).to(codes.dtype)
        layers = [_queries(logits, values)]
        for layer in self.decoder_layers:
            queries = layer(queries, place, tokens, codes)
            layers.append(_queries(*self.refine(queries, begin)))
        return Detection(tuple(layers), evidence[:, : len(KINDS)])

    def _tokens(self, evidence: Tensor, measured: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens (b, rows, width), and the depth and peak of each as logits, (b, rows, 4).

        Args:
            evidence: Logits, (b, c, rows, columns of the features).
            measured: 1 where the strip was measured, (b, 1, rows, columns).
        """
        rows, columns = evidence.shape[-2:]
        share = F.adaptive_avg_pool2d(measured, (rows, columns))
        means = self.hough(torch.cat([evidence.sigmoid(), share], dim=1))
        axes = (2, 3, 4)
        means = means - means.mean(axes, keepdim=True)
        means = means / (means.std(axes, keepdim=True) + 1e-3)
        mixed = F.relu(self.mix(means))
        weights = self.peak(mixed)[:, 0].flatten(2).softmax(-1)
        dip, direction = (weights @ self.get_buffer("grid")).split([1, 2], dim=-1)
        depths = self.get_buffer("depths")[:, None].expand(len(dip), -1, -1)
        reference = torch.cat([depths, torch.logit(dip, eps=0.01), direction], dim=-1)
        values = mixed.transpose(1, 2).flatten(2)
        return self.norm(self.project(values)), reference


def _taken(values: Tensor, index: Tensor) -> Tensor:
    """Return the rows (b, n, c) of values (b, tokens, c) at an index (b, n, 1)."""
    return values.gather(1, index.expand(-1, -1, values.shape[-1]))


def _queries(logits: Tensor, values: Tensor) -> Queries:
    values = values.float()
    return Queries(
        logits=logits.float(),
        depth=values[..., 0].sigmoid(),
        dip=values[..., 1].sigmoid(),
        direction=values[..., 2:],
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

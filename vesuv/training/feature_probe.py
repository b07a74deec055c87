"""Which family of features the labels need: a linear readout of frozen features, by family.

Geometric and textural features come of fixed filters, contextual ones of the coarse levels of a
network whose weights were pre-trained. Each set of families is read out by a logistic regression on
voxels of training cases and judged on voxels of held-out cases. A family is needed where the best
set with it scores higher than the best one without it: more features can also lower a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vesuv.config import Config
from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import fixed_tiles
from vesuv.diagnosis.probes.families import geometric_features, textural_features
from vesuv.diagnosis.probes.readout import Voxels, held_out_dice
from vesuv.errors import InputError
from vesuv.models import build_model
from vesuv.models.encoder_features import encoder_features
from vesuv.training.fold_data import FoldData
from vesuv.training.pretrained import LoadedWeights, PretrainedWeights, load_pretrained
from vesuv.transforms.region import read_region

FAMILIES = ("geometric", "textural", "contextual")
"""Edges and shapes; local patterns and blobs; what the surroundings are."""
RANDOM = "contextual, random weights"
MIN_LOSS = 0.02
"""Fall of the best held-out Dice from which a family is needed."""
_MIN_STRIDE = 4
"""Voxels of the image that a voxel of a coarse level spans, at least."""
_TILES_PER_CASE = 4
_VOXELS_PER_TILE = 1500


@dataclass(frozen=True)
class ProbeScore:
    """Held-out Dice of a set of families."""

    families: str
    num_features: int
    dice: float


@dataclass(frozen=True)
class ProbeResult:
    """Scores of all sets of families, and the families that the labels need.

    Args:
        scores: One for each set.
        needed: Families without which the best score falls by `MIN_LOSS` or more.
        sentence: The result in words.
        loaded: How the weights fitted the network.
    """

    scores: tuple[ProbeScore, ...]
    needed: tuple[str, ...]
    sentence: str
    loaded: LoadedWeights


def probe_features(config: Config, data: FoldData, pretrained: PretrainedWeights) -> ProbeResult:
    """Read the labels out of frozen features.

    Args:
        config: The configuration; its first foreground class or region against the rest.
        data: Cases of a fold: the readout is fitted on `train` and judged on `validation`.
        pretrained: Weights of the network.

    Raises:
        InputError: No weight fits, the network's levels are not known, or there is no held-out
            case or no foreground.
    """
    if not data.is_held_out:
        raise InputError("--fold: needs held-out cases, found none; give a number of a fold")
    torch.manual_seed(config.runtime.seed)
    random_network = build_model(config.model).eval()
    network = build_model(config.model).eval()
    loaded = load_pretrained(network, pretrained)
    networks = {"contextual": network, RANDOM: random_network}
    train, held_out = (
        _read_voxels(config, data, cases, networks) for cases in (data.train, data.validation)
    )
    for part, name in ((train, "training"), (held_out, "held-out")):
        if not bool(part.foreground.any()):
            raise InputError(
                f"labels: the probe found no foreground in its voxels of the {name} cases; use "
                "another fold"
            )
    scores = tuple(_score(families, train, held_out) for families in _sets())
    by_name = {score.families: score.dice for score in scores}
    costs = {name: _cost_without(name, by_name) for name in FAMILIES}
    needed = tuple(name for name in FAMILIES if costs[name] >= MIN_LOSS)
    return ProbeResult(scores, needed, _sentence(by_name, costs, needed), loaded)


def _cost_without(family: str, scores: dict[str, float]) -> float:
    """Return by how much the best set with a family is above the best one without it."""
    with_family, others = (
        [dice for name, dice in scores.items() if name != RANDOM and (family in name) is wanted]
        for wanted in (True, False)
    )
    return max(with_family) - max(others)


def _sets() -> list[tuple[str, ...]]:
    without = [tuple(_without(name).split(" + ")) for name in FAMILIES]
    return [*((name,) for name in FAMILIES), (RANDOM,), FAMILIES, *without]


def _without(family: str) -> str:
    return " + ".join(name for name in FAMILIES if name != family)


@dataclass(frozen=True)
class _Voxels:
    """Voxels with the features of each family, (n, f)."""

    families: dict[str, Tensor]
    foreground: Tensor

    def of(self, families: Sequence[str]) -> Voxels:
        return Voxels(torch.cat([self.families[name] for name in families], 1), self.foreground)


def _score(families: tuple[str, ...], train: _Voxels, held_out: _Voxels) -> ProbeScore:
    fitted = train.of(families)
    value = held_out_dice(fitted, held_out.of(families))
    return ProbeScore(" + ".join(families), fitted.features.shape[1], value)


def _read_voxels(
    config: Config,
    data: FoldData,
    cases: Sequence[PreparedCase],
    networks: dict[str, nn.Module],
) -> _Voxels:
    """Draw voxels of tiles of the cases, and compute their features."""
    size, section = config.sampling.patch_size, config.validation
    tiles = fixed_tiles(cases, size, _TILES_PER_CASE * len(cases), 0.0, section.seed)
    rng = np.random.default_rng(section.seed % 2**64)
    members = list(config.labels.targets.members[0])
    families: dict[str, list[Tensor]] = {name: [] for name in (*FAMILIES, RANDOM)}
    foreground = []
    for tile in tiles:
        case = cases[tile.case]
        intensity_map = data.normalizer.for_case(case.statistics)
        image, label = read_region(case, tile.corner, size).tensors(intensity_map)
        valid = np.flatnonzero(label.numpy() != IGNORE)
        chosen = rng.choice(valid, min(_VOXELS_PER_TILE, len(valid)), replace=False)
        foreground.append(torch.isin(label.flatten()[chosen], torch.tensor(members)))
        for name, fixed in (
            ("geometric", geometric_features(image.numpy())),
            ("textural", textural_features(image.numpy())),
        ):
            families[name].append(torch.from_numpy(fixed.reshape(len(fixed), -1)[:, chosen].T))
        for name, network in networks.items():
            families[name].append(_coarse_features(network, image, chosen))
    return _Voxels(
        {name: torch.cat(parts) for name, parts in families.items()}, torch.cat(foreground)
    )


def _coarse_features(network: nn.Module, image: Tensor, voxels: NDArray[np.int64]) -> Tensor:
    """Return the features of the coarse levels at voxels of a tile, interpolated, (n, f)."""
    shape = image.shape[1:]
    places = np.stack(np.unravel_index(voxels, shape), axis=1)
    edges = np.array(shape)
    grid = torch.from_numpy((2 * places + 1) / edges - 1).float()
    points = grid.flip(1)[None, None, None]  # (x, y, z), as grid_sample takes them
    levels = [
        level
        for level in encoder_features(network, image[None])
        if max(edge // part for edge, part in zip(shape, level.shape[2:], strict=True))
        >= _MIN_STRIDE
    ]
    if not levels:
        raise InputError(
            f"model: the probe needs a level whose voxels span {_MIN_STRIDE} voxels of the image, "
            "found none; make the network deeper"
        )
    samples = [
        F.grid_sample(level.float(), points, padding_mode="border", align_corners=False)
        for level in levels
    ]
    return torch.cat([sample[0, :, 0, 0] for sample in samples]).T


def _sentence(scores: dict[str, float], costs: dict[str, float], needed: Sequence[str]) -> str:
    best = max(FAMILIES, key=lambda name: scores[name])
    gain = scores["contextual"] - scores[RANDOM]
    about_weights = (
        f"Pre-trained weights read out {scores['contextual']:.3f} where random ones read out "
        f"{scores[RANDOM]:.3f}{'' if gain > 0 else ': pre-training brings nothing here'}."
    )
    if not needed:
        return (
            f"No family alone is needed: the others replace each; {best} features alone reach "
            f"{scores[best]:.3f}. {about_weights}"
        )
    parts = ", ".join(f"{name} (-{costs[name]:.3f} without)" for name in needed)
    return (
        f"The labels need {parts}; {best} features alone reach {scores[best]:.3f}. {about_weights}"
    )

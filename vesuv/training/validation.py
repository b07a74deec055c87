"""Validation on a fixed, seeded set of tiles: the one measure that no loss weight can change."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vesuv.config.training import ValidationConfig
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import fixed_tiles, read_region
from vesuv.data.store import StoredCase
from vesuv.errors import InputError
from vesuv.evaluation.overlap import Overlap, confusion, scores
from vesuv.losses.compound import Compound
from vesuv.models.heads import activate
from vesuv.runtime.machine import Machine
from vesuv.transforms.normalize import IntensityMap


@dataclass(frozen=True)
class TileScores:
    """What one pass over the tiles gives."""

    measure: float
    components: dict[str, float]
    overlap: Overlap


class ValidationTiles:
    """Tiles read once, kept in memory, and scored with the same code for every set of weights."""

    def __init__(
        self,
        cases: Sequence[StoredCase],
        intensity_maps: Sequence[IntensityMap],
        config: ValidationConfig,
        patch_size: tuple[int, int, int],
        num_classes: int,
    ) -> None:
        self.config = config
        self.num_classes = num_classes
        tiles = fixed_tiles(cases, patch_size, config.tiles, config.foreground_share, config.seed)
        self.images: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.cases = [cases[tile.case].id for tile in tiles]
        self.groups = [cases[tile.case].group for tile in tiles]
        for tile in tiles:
            region = read_region(cases[tile.case], tile.corner, patch_size)
            image, label = region.tensors(intensity_maps[tile.case])
            self.images.append(image[None])
            self.labels.append(label[None])
        self.judged = [
            tile for tile, label in enumerate(self.labels) if bool((label != IGNORE).any())
        ]
        """Tiles that hold a voxel to judge."""
        if not self.judged:
            raise InputError(
                "validation.tiles: every voxel of every tile is ignored; use more tiles or another "
                "fold"
            )

    @torch.no_grad()
    def score(
        self,
        network: nn.Module,
        compound: Compound,
        machine: Machine,
        *,
        losses: bool = True,
        check: Callable[[], None] = lambda: None,
    ) -> TileScores:
        """Run `network` over the tiles; `check` is called between them and may end it.

        Components are means over the tiles that hold a judged voxel; the measure and the overlap
        are pooled over all their voxels. Processes that train together take turns with the tiles;
        counts are added up as integers and losses tile by tile, so that all get what one would.
        """
        was_training = network.training
        network.eval()
        group, device = machine.group, machine.device
        matrix = torch.zeros((self.num_classes,) * 2, dtype=torch.int64, device=device)
        names = list(compound.losses) if losses else []
        terms = torch.zeros((len(self.judged), len(names)), device=device)
        for turn in range(0, len(self.judged), group.size):
            check()
            tile = turn + group.rank
            if tile >= len(self.judged):
                break
            label = self.labels[self.judged[tile]].to(device)
            valid = label != IGNORE
            image = self.images[self.judged[tile]].to(device)
            logits = forward(network, image, machine).float()
            matrix += confusion(
                predicted_classes(logits, self.config.threshold), label, valid, self.num_classes
            )
            if losses:
                values = compound.components(logits, label, valid)
                terms[tile] = torch.stack([values[name] for name in names])
        network.train(was_training)
        overlap = scores(group.sum(matrix))
        # Each row is one process's, zero in the others.
        totals = sum(group.sum(terms), torch.zeros(len(names), device=device))
        measure = float(getattr(overlap, self.config.measure))
        assert not math.isnan(measure), "a judged voxel gives a measure"
        components = {
            name: float(total) / len(self.judged) for name, total in zip(names, totals, strict=True)
        }
        return TileScores(measure, components, overlap)


def forward(network: Callable[[Tensor], Tensor], image: Tensor, machine: Machine) -> Tensor:
    """Return the logits of a batch under the machine's precision."""
    with torch.autocast(
        machine.device.type, dtype=torch.bfloat16, enabled=machine.precision == "bfloat16"
    ):
        return network(image)


def predicted_classes(logits: Tensor, threshold: float) -> Tensor:
    """Turn logits (b, K, z, y, x) into class indices (b, z, y, x)."""
    if logits.shape[1] == 1:
        return (activate(logits)[:, 0] >= threshold).to(torch.int64)
    return logits.argmax(dim=1)

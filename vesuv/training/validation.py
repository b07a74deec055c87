"""Validation on a fixed, seeded set of tiles: the one measure that no loss weight can change.

The network runs over the tiles once. Measure, losses, pictures and what the diagnosis looks at all
come from that one pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from vesuv.config.training import ValidationConfig
from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import fixed_tiles
from vesuv.diagnosis.probes.tiles import TileProbabilities, probability_bins
from vesuv.errors import InputError
from vesuv.evaluation.overlap import Overlap, confusion, scores
from vesuv.losses.compound import Compound
from vesuv.models.heads import activate, foreground_probability, predicted_classes
from vesuv.runtime.machine import Machine
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.region import read_region
from vesuv.types import Shape

PICTURED = 3
"""Tiles whose middle slices are kept as pictures: those with most foreground."""


@dataclass(frozen=True)
class ObservedTile:
    """One tile and what the network said of it, on the host."""

    place: int
    """Number of the tile."""
    case: str
    group: str | None
    matrix: Tensor
    """Counts by label and predicted class at the validation threshold."""
    probabilities: TileProbabilities
    picture: Tensor | None
    """Foreground probability in the middle slice, (y, x); None where none is kept."""


@dataclass(frozen=True)
class TileScores:
    """What one pass over the tiles gives."""

    measure: float
    components: dict[str, float]
    overlap: Overlap
    tiles: tuple[ObservedTile, ...] = ()
    """In the order of the tiles; empty unless asked for."""


class ValidationTiles:
    """Tiles read once, kept in memory, and scored with the same code for every set of weights."""

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        intensity_maps: Sequence[IntensityMap],
        config: ValidationConfig,
        patch_size: Shape,
        num_classes: int,
    ) -> None:
        self.config = config
        self.num_classes = num_classes
        tiles = fixed_tiles(cases, patch_size, config.tiles, config.foreground_share, config.seed)
        self.images: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.cases = [cases[tile.case].id for tile in tiles]
        self.groups = [cases[tile.case].group for tile in tiles]
        self.slices = [tile.corner[0] + patch_size[0] // 2 for tile in tiles]
        """Number of the middle slice of each tile in its case."""
        for tile in tiles:
            region = read_region(cases[tile.case], tile.corner, patch_size)
            image, label = region.tensors(intensity_maps[tile.case])
            self.images.append(image[None])
            self.labels.append(label[None])
        self.judged = [
            place for place, label in enumerate(self.labels) if bool((label != IGNORE).any())
        ]
        """Tiles that hold a voxel to judge."""
        if not self.judged:
            raise InputError(
                "validation.tiles: every voxel of every tile is ignored; use more tiles or another "
                "fold"
            )
        shares = [float(((label > 0) & (label != IGNORE)).sum()) for label in self.labels]
        self.pictured = sorted(self.judged, key=lambda place: -shares[place])[:PICTURED]
        """Tiles whose middle slice is kept."""

    @torch.no_grad()
    def score(
        self,
        network: nn.Module,
        machine: Machine,
        compound: Compound | None = None,
        *,
        observe: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> TileScores:
        """Run a network over the tiles once.

        Components are means over the tiles that hold a judged voxel; the measure and the overlap
        are pooled over all their voxels. Processes that train together take turns with the tiles;
        counts are added up as integers and losses tile by tile, so that all get what one would.

        Args:
            network: On the machine's device; its mode is as before afterwards.
            machine: Where to compute.
            compound: The losses to compute; None: none.
            observe: Keep the tiles' probabilities.
            check: Called between tiles; may end the pass.
        """
        was_training = network.training
        network.eval()
        group, device = machine.group, machine.device
        names = list(compound.losses) if compound else []
        matrix = torch.zeros((self.num_classes,) * 2, dtype=torch.int64, device=device)
        terms = torch.zeros((len(self.judged), len(names)), device=device)
        observed: list[ObservedTile] = []
        for turn in range(0, len(self.judged), group.size):
            check()
            number = turn + group.rank
            if number >= len(self.judged):
                break
            label = self.labels[self.judged[number]].to(device)
            image = self.images[self.judged[number]].to(device)
            logits = machine.forward(network, image).float()
            counts = self._counts(logits, label)
            matrix += counts
            if compound:
                values = compound.components(logits, label, label != IGNORE)
                terms[number] = torch.stack([values[name] for name in names])
            if observe:
                observed.append(self._observed(self.judged[number], logits, counts))
        network.train(was_training)
        overlap = scores(group.sum(matrix))
        measure = float(getattr(overlap, self.config.measure))
        assert not math.isnan(measure), "a judged voxel gives a measure"
        # Each row is one process's, zero in the others.
        totals = sum(group.sum(terms), torch.zeros(len(names), device=device))
        components = {
            name: float(total) / len(self.judged) for name, total in zip(names, totals, strict=True)
        }
        tiles = sorted(chain(*group.gather_objects(observed)), key=lambda tile: tile.place)
        return TileScores(measure, components, overlap, tuple(tiles))

    def _counts(self, logits: Tensor, label: Tensor) -> Tensor:
        classes = predicted_classes(logits, self.config.threshold)
        return confusion(classes, label, label != IGNORE, self.num_classes)

    def _observed(self, place: int, logits: Tensor, counts: Tensor) -> ObservedTile:
        foreground = foreground_probability(activate(logits))[0]
        middle = foreground.shape[0] // 2
        return ObservedTile(
            place,
            self.cases[place],
            self.groups[place],
            counts.cpu(),
            TileProbabilities(probability_bins(foreground), self.labels[place][0]),
            foreground[middle].cpu() if place in self.pictured else None,
        )

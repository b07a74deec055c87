"""Validation on fixed, seeded tiles: its measure does not depend on the loss weights.

One pass of the network over the tiles gives measure, losses, pictures and the data of the
diagnosis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from vesuv.config.labels import Targets
from vesuv.config.training import ValidationConfig
from vesuv.data.case import PreparedCase
from vesuv.data.labels import IGNORE
from vesuv.data.sampling import fixed_tiles
from vesuv.diagnosis.probes.tiles import TileProbabilities, probability_bins
from vesuv.errors import InputError
from vesuv.evaluation.class_scores import Row, overlap_row
from vesuv.evaluation.overlap import confusion
from vesuv.losses.compound import Compound
from vesuv.models.heads import activate, foreground_probability, predicted_classes
from vesuv.runtime.machine import Machine
from vesuv.transforms.normalize import IntensityMap
from vesuv.transforms.region import read_region
from vesuv.types import Shape

NUM_PICTURES = 3
"""Number of tiles with a picture of their middle slice: those with the most foreground."""


@dataclass(frozen=True)
class ObservedTile:
    """One tile and the network's prediction on it, on the host."""

    index: int
    case: str
    group: str | None
    confusion: Tensor
    """Voxel counts by label and predicted class at the validation threshold."""
    probabilities: TileProbabilities
    picture: Tensor | None
    """Probability of any foreground class in the middle slice, (y, x); None for tiles without a
    picture."""
    picture_classes: Tensor | None = None
    """Predicted class index in the middle slice, (y, x) uint8; None for two classes."""


@dataclass(frozen=True)
class TileScores:
    """Scores of a network on all tiles."""

    measure: float
    components: dict[str, float]
    """Mean of each loss term."""
    overlap: Row
    """Overlap scores by column; with several classes those of each beside the mean, see
    `overlap_row`."""
    tiles: tuple[ObservedTile, ...] = ()
    """Tiles by index; empty unless requested."""


class ValidationTiles:
    """Validation tiles in memory, read once."""

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        intensity_maps: Sequence[IntensityMap],
        config: ValidationConfig,
        patch_size: Shape,
        targets: Targets,
    ) -> None:
        self.config = config
        self.targets = targets
        self.num_classes = targets.num_classes
        seed, share = config.seed, config.foreground_share
        tiles = fixed_tiles(cases, patch_size, config.tiles, share, seed, targets)
        self.images: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.cases = [cases[tile.case].id for tile in tiles]
        self.groups = [cases[tile.case].group for tile in tiles]
        self.middle_slices = [tile.corner[0] + patch_size[0] // 2 for tile in tiles]
        """Slice number of each tile's middle slice in its case."""
        for tile in tiles:
            region = read_region(cases[tile.case], tile.corner, patch_size)
            image, label = region.tensors(intensity_maps[tile.case])
            self.images.append(image[None])
            self.labels.append(label[None])
        self.valid_tiles = [
            index for index, label in enumerate(self.labels) if bool((label != IGNORE).any())
        ]
        """Indices of the tiles with a valid voxel."""
        if not self.valid_tiles:
            raise InputError(
                "validation.tiles: every voxel of every tile is ignored; use more tiles or another "
                "fold"
            )
        foreground = [float(((label > 0) & (label != IGNORE)).sum()) for label in self.labels]
        by_foreground = sorted(self.valid_tiles, key=lambda index: -foreground[index])
        self.picture_tiles = by_foreground[:NUM_PICTURES]
        """Indices of the tiles with a picture, most foreground first."""

    @torch.no_grad()
    def score(
        self,
        network: nn.Module,
        machine: Machine,
        compound: Compound | None = None,
        *,
        observe: bool = False,
        check_stop: Callable[[], None] = lambda: None,
    ) -> TileScores:
        """Score a network in one pass over the tiles.

        Components are means over the tiles with a valid voxel; measure and overlap are pooled over
        their voxels. Processes that train together share the tiles. Counts are summed as integers
        and losses tile by tile, so that every process gets the same scores as a single one.

        Args:
            network: Network on the machine's device; its mode is restored afterwards.
            machine: Device and precision.
            compound: The losses to compute; None: no losses.
            observe: Return the tiles' probabilities too.
            check_stop: Called between tiles; raises Interrupted to end the pass.
        """
        was_training = network.training
        network.eval()
        group, device = machine.group, machine.device
        names = compound.mask_terms if compound else []
        matrix = torch.zeros((self.num_classes,) * 2, dtype=torch.int64, device=device)
        terms = torch.zeros((len(self.valid_tiles), len(names)), device=device)
        observed: list[ObservedTile] = []
        for first_row in range(0, len(self.valid_tiles), group.size):
            check_stop()
            row = first_row + group.rank
            if row >= len(self.valid_tiles):
                break
            index = self.valid_tiles[row]
            label, image = self.labels[index].to(device), self.images[index].to(device)
            logits = machine.forward(network, image).float()
            counts = self._confusion(logits, label)
            matrix += counts
            if compound:
                values = compound.components(logits, label, label != IGNORE)
                terms[row] = torch.stack([values[name] for name in names])
            if observe:
                observed.append(self._observed_tile(index, logits, counts))
        network.train(was_training)
        overlap = overlap_row(group.sum(matrix), self.targets)
        measure = overlap[self.config.measure]
        assert not math.isnan(measure), "a measure of valid voxels is a number"
        # Each row is set in one process and zero in the others.
        totals = sum(group.sum(terms), torch.zeros(len(names), device=device))
        components = {
            name: float(total) / len(self.valid_tiles)
            for name, total in zip(names, totals, strict=True)
        }
        tiles = sorted(chain(*group.gather_objects(observed)), key=lambda tile: tile.index)
        return TileScores(measure, components, overlap, tuple(tiles))

    def _confusion(self, logits: Tensor, label: Tensor) -> Tensor:
        classes = predicted_classes(logits, self.targets, self.config.threshold)
        return confusion(classes, label, label != IGNORE, self.num_classes)

    def _observed_tile(self, index: int, logits: Tensor, counts: Tensor) -> ObservedTile:
        overlap = self.targets.overlap
        foreground = foreground_probability(activate(logits, overlap=overlap), overlap=overlap)[0]
        middle = foreground.shape[0] // 2
        has_picture = index in self.picture_tiles
        picture_classes = None
        if has_picture and self.num_classes > 2:
            middle_logits = logits[:, :, middle : middle + 1]
            classes = predicted_classes(middle_logits, self.targets, self.config.threshold)
            picture_classes = classes[0, 0].byte().cpu()
        return ObservedTile(
            index,
            self.cases[index],
            self.groups[index],
            counts.cpu(),
            TileProbabilities(probability_bins(foreground), self.labels[index][0]),
            foreground[middle].cpu() if has_picture else None,
            picture_classes,
        )

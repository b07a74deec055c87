"""Validation on a fixed, seeded set of tiles: the one measure that no loss weight can change."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vesuv.config.training import ValidationConfig
from vesuv.data.labels import IGNORE
from vesuv.data.normalize import IntensityMap
from vesuv.data.sampling import fixed_tiles, read_region
from vesuv.data.store import StoredCase
from vesuv.errors import InputError
from vesuv.evaluation.overlap import Overlap, confusion, scores
from vesuv.losses.compound import Compound
from vesuv.models.heads import activate
from vesuv.training.machine import Machine


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
        if all(bool((label == IGNORE).all()) for label in self.labels):
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
        are pooled over all their voxels.
        """
        was_training = network.training
        network.eval()
        matrix = torch.zeros((self.num_classes,) * 2, dtype=torch.int64, device=machine.device)
        sums: dict[str, Tensor] = {}
        judged = 0
        for image, label in zip(self.images, self.labels, strict=True):
            label = label.to(machine.device)
            valid = label != IGNORE
            check()
            if not bool(valid.any()):
                continue
            judged += 1
            logits = forward(network, image.to(machine.device), machine).float()
            matrix += confusion(
                predicted_classes(logits, self.config.threshold), label, valid, self.num_classes
            )
            if losses:
                for name, value in compound.components(logits, label, valid).items():
                    sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value
        network.train(was_training)
        overlap = scores(matrix)
        measure = float(getattr(overlap, self.config.measure))
        assert not math.isnan(measure), "a judged voxel gives a measure"
        components = {name: float(value) / judged for name, value in sums.items()}
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

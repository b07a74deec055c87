"""What probabilities on fixed tiles say: histograms, scores by tile and group, kinds of error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vesuv.data.labels import IGNORE
from vesuv.diagnosis.observation import BINS, Errors, Histogram, Score, Tile
from vesuv.diagnosis.thresholds import best_cut
from vesuv.evaluation.overlap import Overlap, confusion, scores
from vesuv.models.heads import activate
from vesuv.runtime.machine import Machine
from vesuv.training.validation import ValidationTiles, forward, predicted_classes


@dataclass(frozen=True)
class SeenTile:
    """One tile with its prediction, on the host but for the counts."""

    case: str
    group: str | None
    bins: Tensor
    """Probability of foreground in hundredths, rounded down, (z, y, x) uint8."""
    label: Tensor
    """(z, y, x)."""
    matrix: Tensor
    """Counts by label and predicted class at the validation threshold."""


@torch.no_grad()
def look(tiles: ValidationTiles, network: nn.Module, machine: Machine) -> list[SeenTile]:
    """Run the network as it is over the tiles that hold a judged voxel."""
    was_training = network.training
    network.eval()
    seen = []
    for place in tiles.judged:
        image, label = tiles.images[place].to(machine.device), tiles.labels[place]
        logits = forward(network, image, machine).float()
        probs = activate(logits)
        foreground = probs[0, 0] if probs.shape[1] == 1 else 1.0 - probs[0, 0]
        bins = (foreground.nan_to_num() * BINS).clamp_(0, BINS - 1).to(torch.uint8).cpu()
        classes = predicted_classes(logits, tiles.config.threshold).cpu()
        matrix = confusion(classes, label, label != IGNORE, tiles.num_classes)
        seen.append(SeenTile(tiles.cases[place], tiles.groups[place], bins, label[0], matrix))
    network.train(was_training)
    return seen


def histogram(seen: Iterable[SeenTile]) -> Histogram:
    """Count the judged voxels by probability, of each label apart."""
    counts = torch.zeros((2, BINS), dtype=torch.int64)
    for tile in seen:
        foreground = (tile.label > 0) & (tile.label != IGNORE)
        background = tile.label == 0
        for row, mask in enumerate((foreground, background)):
            counts[row] += torch.bincount(tile.bins[mask].to(torch.int64), minlength=BINS)
    return Histogram(foreground=tuple(counts[0].tolist()), background=tuple(counts[1].tolist()))


def by_tile(seen: Iterable[SeenTile]) -> tuple[Tile, ...]:
    """Score each tile by itself."""
    found = []
    for tile in seen:
        overlap = scores(tile.matrix)
        found.append(
            Tile(
                case=tile.case,
                group=tile.group,
                predicted=overlap.predicted_fraction,
                labelled=overlap.labelled_fraction,
                dice=overlap.dice,
            )
        )
    return tuple(found)


def by_group(seen: Iterable[SeenTile]) -> dict[str, float]:
    """Return the Dice of each group whose tiles hold foreground; empty where none is known."""
    members: dict[str, list[Tensor]] = {}
    for tile in seen:
        if tile.group is not None:
            members.setdefault(tile.group, []).append(tile.matrix)
    pooled = {name: scores(_sum(matrices)) for name, matrices in sorted(members.items())}
    return {name: overlap.dice for name, overlap in pooled.items() if overlap.labelled_fraction}


def pooled_score(seen: list[SeenTile]) -> Score:
    """Pool the tiles' voxels."""
    overlap: Overlap = scores(_sum([tile.matrix for tile in seen]))
    return Score(
        dice=overlap.dice,
        precision=overlap.precision,
        recall=overlap.recall,
        predicted=overlap.predicted_fraction,
        labelled=overlap.labelled_fraction,
        histogram=histogram(seen),
    )


def errors(seen: list[SeenTile], found: Histogram) -> Errors:
    """Tell wrong voxels next to foreground of the other side from the rest.

    Taken at the threshold with the best Dice, so that a mask that is too fat or too thin as a whole
    is not mistaken for a boundary that is drawn elsewhere.
    """
    cut = round(best_cut(found).threshold * BINS)
    right = near = far = 0
    for tile in seen:
        judged = tile.label != IGNORE
        labelled = (tile.label > 0) & judged
        predicted = (tile.bins >= cut) & judged
        right += int((labelled & predicted).sum())
        wrong = labelled ^ predicted
        # A false voxel beside labelled foreground, or a missed one beside predicted foreground.
        beside = wrong & torch.where(labelled, _grown(predicted), _grown(labelled))
        near += int(beside.sum())
        far += int((wrong & ~beside).sum())
    return Errors(right=right, near=near, far=far)


def _grown(mask: Tensor) -> Tensor:
    grown: Tensor = F.max_pool3d(mask[None, None].float(), 3, stride=1, padding=1)[0, 0] > 0
    return grown


def _sum(matrices: list[Tensor]) -> Tensor:
    return torch.stack(matrices).sum(dim=0)

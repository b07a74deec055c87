"""Pictures of the validation tiles: image, label and probability of their middle slices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.training.validation import ObservedTile, ValidationTiles

_IGNORED_GREY = 77 / 255


def pictures(tiles: ValidationTiles, observed: Sequence[ObservedTile]) -> dict[str, Tensor]:
    """Return image, label and probability, (n, y, x) in [0, 1], of the pictured tiles.

    The label's class index is spread over [0, 1], ignored voxels are 0.3; the probability is that
    of any foreground class.
    """
    shown = pictured(tiles, observed)
    return {
        "image": torch.stack([_grey(tiles.images[tile.place]) for tile in shown]),
        "label": torch.stack([_label(tiles, tile.place) for tile in shown]),
        "probability": torch.stack([tile.picture for tile in shown if tile.picture is not None]),
    }


def pictured(tiles: ValidationTiles, observed: Sequence[ObservedTile]) -> list[ObservedTile]:
    """Return the tiles that have a picture, the one with most foreground first."""
    return [tile for place in tiles.pictured for tile in observed if tile.place == place]


def _grey(image: Tensor) -> Tensor:
    grey = image[0, 0, image.shape[2] // 2]
    return (grey - grey.min()) / (grey.max() - grey.min()).clamp_min(1e-6)


def _label(tiles: ValidationTiles, place: int) -> Tensor:
    label = tiles.labels[place][0]
    middle = label[label.shape[0] // 2]
    spread = middle.float() / (tiles.num_classes - 1)
    return spread.masked_fill(middle == IGNORE, _IGNORED_GREY)

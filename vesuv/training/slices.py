"""Pictures of the validation tiles: image, label and probability of their middle slices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.training.validation import ObservedTile, ValidationTiles

_IGNORED_GREY = 77 / 255


def tile_pictures(tiles: ValidationTiles, observed: Sequence[ObservedTile]) -> dict[str, Tensor]:
    """Return image, label and probability, (n, y, x) in [0, 1], of the tiles with a picture.

    Class indices are scaled to [0, 1], ignored voxels are 0.3; the probability is that of any
    foreground class. With several classes also label_classes and predicted_classes, the class
    indices themselves, uint8.
    """
    selected = tiles_with_picture(tiles, observed)
    pictures = {
        "image": torch.stack([_grey(tiles.images[tile.index]) for tile in selected]),
        "label": torch.stack([_label(tiles, tile.index) for tile in selected]),
        "probability": torch.stack([tile.picture for tile in selected if tile.picture is not None]),
    }
    predictions = [t.picture_classes for t in selected if t.picture_classes is not None]
    if predictions:
        pictures["label_classes"] = torch.stack([_classes(tiles, tile.index) for tile in selected])
        pictures["predicted_classes"] = torch.stack(predictions)
    return pictures


def tiles_with_picture(
    tiles: ValidationTiles, observed: Sequence[ObservedTile]
) -> list[ObservedTile]:
    """Return the tiles with a picture, sorted by foreground, most first."""
    return [tile for index in tiles.picture_tiles for tile in observed if tile.index == index]


def _grey(image: Tensor) -> Tensor:
    grey = image[0, 0, image.shape[2] // 2]
    return (grey - grey.min()) / (grey.max() - grey.min()).clamp_min(1e-6)


def _classes(tiles: ValidationTiles, index: int) -> Tensor:
    label = tiles.labels[index][0]
    return label[label.shape[0] // 2]


def _label(tiles: ValidationTiles, index: int) -> Tensor:
    middle = _classes(tiles, index)
    grey = middle.float() / (tiles.num_classes - 1)
    return grey.masked_fill(middle == IGNORE, _IGNORED_GREY)

"""Pictures of the validation tiles: image, label and probability, side by side in time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vesuv.data.labels import IGNORE
from vesuv.models.heads import activate
from vesuv.runs.folder import writing
from vesuv.runtime.machine import Machine
from vesuv.training.validation import ValidationTiles, forward

_IGNORED_GREY = 77 / 255


@dataclass(frozen=True)
class Slices:
    """Middle slices (n, y, x) in [0, 1] of the tiles with most foreground."""

    image: Tensor
    label: Tensor
    """Class index spread over [0, 1]; ignored voxels 0.3."""
    probability: Tensor
    """Of any foreground class."""
    cases: tuple[str, ...]

    def write(self, path: Path, threshold: float) -> None:
        """Write slices.npz: uint8 pictures, their cases, and the threshold in force."""
        temporary = path.with_name(f"{path.name}.partial.npz")
        pictures = {
            name: (getattr(self, name) * 255).round().to(torch.uint8).numpy()
            for name in ("image", "label", "probability")
        }
        with writing(path):
            np.savez_compressed(
                temporary, cases=np.array(self.cases), threshold=np.array(threshold), **pictures
            )
            temporary.replace(path)


@torch.no_grad()
def slices(tiles: ValidationTiles, network: nn.Module, machine: Machine, count: int = 3) -> Slices:
    """Cut the pictures with the network as it is."""
    shares = [float(((label > 0) & (label != IGNORE)).sum()) for label in tiles.labels]
    chosen = sorted(range(len(shares)), key=lambda tile: -shares[tile])[:count]
    was_training = network.training
    network.eval()
    images, labels, probabilities = [], [], []
    for tile in chosen:
        image, label = tiles.images[tile], tiles.labels[tile]
        middle = image.shape[2] // 2
        probs = activate(forward(network, image.to(machine.device), machine).float()).cpu()[0]
        grey = image[0, 0, middle]
        images.append((grey - grey.min()) / (grey.max() - grey.min()).clamp_min(1e-6))
        spread = label[0, middle].float() / (tiles.num_classes - 1)
        labels.append(spread.masked_fill(label[0, middle] == IGNORE, _IGNORED_GREY))
        probabilities.append((probs[0] if len(probs) == 1 else 1.0 - probs[0])[middle])
    network.train(was_training)
    return Slices(
        torch.stack(images),
        torch.stack(labels),
        torch.stack(probabilities),
        tuple(tiles.cases[tile] for tile in chosen),
    )

"""Patches of one step as a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.transforms.padding import placed


@dataclass(frozen=True)
class Batch:
    """What one training step sees."""

    image: Tensor
    """(b, c, z, y, x) float32, normalised."""
    label: Tensor
    """(b, z, y, x) uint8 class index or IGNORE."""
    cases: tuple[str, ...]
    """Id of the case that each patch is from."""

    def pin_memory(self) -> Batch:
        """Copy to page-locked memory; PyTorch's loader calls this."""
        return Batch(self.image.pin_memory(), self.label.pin_memory(), self.cases)


def collate(patches: Sequence[tuple[Tensor, Tensor]], cases: tuple[str, ...]) -> Batch:
    """Stack patches; smaller ones are padded at their far ends, the padding counts as ignored.

    Args:
        patches: Images (c, z, y, x) and labels (z, y, x).
        cases: Id of each patch's case.
    """
    sizes = [label.shape for _, label in patches]
    largest = [max(edges) for edges in zip(*sizes, strict=True)]
    start = (0, 0, 0)
    images = [placed(image, start, largest) for image, _ in patches]
    labels = [placed(label, start, largest, IGNORE) for _, label in patches]
    return Batch(torch.stack(images), torch.stack(labels), cases)

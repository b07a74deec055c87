"""Collation of the patches of a step into a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.transforms.padding import pad_to_box


@dataclass(frozen=True)
class Batch:
    """The patches of one training step."""

    image: Tensor
    """(b, c, z, y, x) float32, normalised."""
    label: Tensor
    """(b, z, y, x) uint8 class index or IGNORE."""
    cases: tuple[str, ...]
    """Id of each patch's case."""

    def pin_memory(self) -> Batch:
        """Copy to page-locked memory; PyTorch's loader calls this."""
        return Batch(self.image.pin_memory(), self.label.pin_memory(), self.cases)


def collate(patches: Sequence[tuple[Tensor, Tensor]], cases: tuple[str, ...]) -> Batch:
    """Stack patches; smaller ones are padded at the end of each axis with ignored voxels.

    Args:
        patches: Images (c, z, y, x) and labels (z, y, x).
        cases: Id of each patch's case.
    """
    shapes = [label.shape for _, label in patches]
    size = [max(edges) for edges in zip(*shapes, strict=True)]
    start = (0, 0, 0)
    images = [pad_to_box(image, start, size) for image, _ in patches]
    labels = [pad_to_box(label, start, size, IGNORE) for _, label in patches]
    return Batch(torch.stack(images), torch.stack(labels), cases)

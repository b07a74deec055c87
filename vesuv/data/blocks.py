"""Class counts in small blocks, from which patches are drawn and label shares computed."""

from __future__ import annotations

import numpy as np

from vesuv.data.labels import IGNORE
from vesuv.types import Array, ClassArray

BLOCK_SIZE = 16
"""Edge of the blocks of class counts, in voxels."""


def count_blocks(label: ClassArray, num_classes: int, size: int = BLOCK_SIZE) -> Array:
    """Count each class in each block.

    Args:
        label: Class indices and `IGNORE`, (z, y, x).
        num_classes: Classes, background counted.
        size: Block edge in voxels, at most 16.

    Returns:
        (num_classes + 1, bz, by, bx) uint16; the last entry counts all valid voxels.
    """
    padding = [(0, -edge % size) for edge in label.shape]
    padded = np.pad(label, padding, constant_values=IGNORE) if any(p for _, p in padding) else label
    bz, by, bx = (edge // size for edge in padded.shape)
    counts = np.empty((num_classes + 1, bz, by, bx), np.uint16)
    for index in range(num_classes):
        mask = (padded == index).view(np.uint8)
        columns = mask.reshape(bz, size, by * size, bx * size).sum(axis=1, dtype=np.uint8)
        rows = columns.reshape(bz, by, size, bx * size).sum(axis=2, dtype=np.uint16)
        counts[index] = rows.reshape(bz, by, bx, size).sum(axis=3, dtype=np.uint16)
    counts[num_classes] = counts[:num_classes].sum(axis=0, dtype=np.uint16)
    return counts

"""Masks of whole blocks of a patch, which a network learns to reconstruct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.transforms.collate import Batch


@dataclass(frozen=True)
class MaskedBatch(Batch):
    """Patches whose masked voxels are 0."""

    target: Tensor
    """The images before masking, (b, c, z, y, x)."""
    mask: Tensor
    """True on masked voxels inside the volume, whose error counts, (b, z, y, x)."""


def block_mask(shape: Sequence[int], block_size: int, share: float, key: Sequence[int]) -> Tensor:
    """Return a random mask of blocks, a pure function of the arguments.

    Args:
        shape: Voxels of the patch along z, y, x; the last block of an axis may be cut.
        block_size: Edge of a block in voxels.
        share: Share of the blocks that are masked, rounded to a number of blocks; at least one
            block is masked.
        key: Numbers from 0 that the mask is drawn from.

    Returns:
        True on masked voxels, (z, y, x).
    """
    grid = [-(-length // block_size) for length in shape]
    num_blocks = int(np.prod(grid))
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(list(key))))
    masked = np.zeros(num_blocks, dtype=bool)
    masked[rng.permutation(num_blocks)[: max(1, round(share * num_blocks))]] = True
    mask = torch.from_numpy(masked.reshape(grid))
    for dim, length in enumerate(shape):
        mask = mask.repeat_interleave(block_size, dim).narrow(dim, 0, length)
    return mask


def masked_batch(batch: Batch, masks: Tensor) -> MaskedBatch:
    """Set the masked voxels (b, z, y, x) of a batch to 0."""
    image = batch.image.masked_fill(masks.unsqueeze(1), 0.0)
    mask = masks & (batch.label != IGNORE)
    return MaskedBatch(image, batch.label, batch.cases, batch.image, mask)

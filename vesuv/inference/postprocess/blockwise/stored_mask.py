"""Intermediate masks on disk: one bit a voxel, one file a block.

Blocks are written by different processes at the same time; no two of them share a byte.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from vesuv.inference.postprocess.blockwise.grid import (
    Block,
    BlockGrid,
    box_shape,
    intersection,
    within,
)
from vesuv.types import Array, Mask, Region


class Volume(Protocol):
    """Volume (z, y, x) that is read box by box, and is sent to other processes."""

    def read(self, box: Region) -> Array:
        """Return the voxels of a box."""
        ...


@dataclass(frozen=True)
class StoredMask:
    """Mask in a folder of its own."""

    folder: Path
    grid: BlockGrid

    def write(self, block: Block, mask: Mask) -> None:
        """Write the voxels of one block; a block of one value takes one byte."""
        first = mask[0, 0, 0]
        is_uniform = bool((mask == first).all())
        np.save(self._file(block), np.uint8(first) if is_uniform else np.packbits(mask, axis=2))

    def read(self, box: Region) -> Mask:
        """Return the voxels of a box."""
        mask = np.empty(box_shape(box), bool)
        for block in self.grid.overlapping(box):
            part = intersection(box, block.region)
            mask[within(part, box)] = self._part(block, within(part, block.region))
        return mask

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self.folder)

    def _part(self, block: Block, part: Region) -> Mask:
        bits = np.load(self._file(block))
        if bits.ndim == 0:
            return np.full(box_shape(part), bits, bool)
        z, y, x = part
        first = x.start // 8
        packed = bits[z, y, first : -(-x.stop // 8)]
        voxels = np.unpackbits(packed, axis=2)[..., x.start - 8 * first : x.stop - 8 * first]
        return voxels.astype(bool)

    def _file(self, block: Block) -> Path:
        return self.folder / f"{self.grid.index(block.position)}.npy"

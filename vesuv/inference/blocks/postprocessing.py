"""Post-processing of a prediction in blocks, after its last block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.data.labels import decode
from vesuv.inference.blocks.arrays import MASK_LEVEL
from vesuv.inference.blocks.output import BlockOutput
from vesuv.inference.masks import MaskSettings
from vesuv.inference.postprocess.blockwise import CHAIN_BLOCK, BlockGrid, BlockRun, segment_blocks
from vesuv.runtime.pool import ProcessPool
from vesuv.types import Array, ClassArray, Region, ShowProgress, Spacing


def write_mask(
    output: BlockOutput,
    mask: MaskSettings,
    spacing: Spacing,
    scratch: Path,
    show_progress: ShowProgress,
) -> None:
    """Make the mask of the stored levels of probability.

    Args:
        output: The arrays.
        mask: Threshold and post-processing.
        spacing: Voxel edges in the unit of training.
        scratch: Folder for intermediate arrays.
        show_progress: Shows the progress.
    """
    output.create([MASK_LEVEL])
    scratch.mkdir(exist_ok=True)
    # These blocks are smaller, because the chain holds several values of each voxel in memory.
    z, y, x = (min(edge, CHAIN_BLOCK) for edge in output.plan.grid.block)
    grid = BlockGrid(output.plan.shape, (z, y, x))
    with ProcessPool() as pool:
        run = BlockRun(grid, scratch, pool.map, show_progress)
        segment_blocks(output.levels(), mask, spacing, ClassWriter(output), run)


class ClassWriter:
    """Array of class indices whose blocks are written as label values."""

    def __init__(self, output: BlockOutput) -> None:
        self._output = output
        self._array = output.mask()
        self.shape: tuple[int, ...] = self._array.shape
        self.shards: tuple[int, ...] = self._array.shards
        self.chunks: tuple[int, ...] = self._array.chunks

    def __getitem__(self, index: Any, /) -> Array:
        return self._array[index]

    def __setitem__(self, index: Region | Sequence[slice], classes: ClassArray, /) -> None:
        self._array.write(index, decode(np.asarray(classes), self._output.labels))

"""Post-processing of volumes that are larger than memory, block by block, with the same result.

With blocks of 256³ one process takes 0.4 GB for 1024³ voxels of one class, of which the tables that
merge components across blocks are 38 to 73 MB a billion voxels; see `bench/RESULTS.md`.
"""

from __future__ import annotations

from vesuv.inference.postprocess.blockwise.grid import Block, BlockGrid
from vesuv.inference.postprocess.blockwise.run import BlockRun, MapFunction
from vesuv.inference.postprocess.blockwise.segmentation import segment_blocks

CHAIN_BLOCK = 256
"""Edge of the blocks that chains run on: larger ones take more memory, smaller ones more time."""

__all__ = ["CHAIN_BLOCK", "Block", "BlockGrid", "BlockRun", "MapFunction", "segment_blocks"]

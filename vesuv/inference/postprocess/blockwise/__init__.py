"""Post-processing of volumes that are larger than memory, block by block, with the same result."""

from __future__ import annotations

from vesuv.inference.postprocess.blockwise.grid import Block, BlockGrid
from vesuv.inference.postprocess.blockwise.run import BlockRun, MapFunction
from vesuv.inference.postprocess.blockwise.segmentation import segment_blocks

__all__ = ["Block", "BlockGrid", "BlockRun", "MapFunction", "segment_blocks"]

"""What one process needs to predict blocks: read, compute, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from vesuv.data.labels import decode
from vesuv.errors import InputError
from vesuv.inference.blocks.blending import WindowCounts
from vesuv.inference.blocks.compute import BlockPredictor, Grids
from vesuv.inference.blocks.journal import BlockRecord, Journal
from vesuv.inference.blocks.output import LEVELS_LEVEL, MASK_LEVEL, BlockOutput
from vesuv.inference.blocks.plan import block_name
from vesuv.inference.blocks.source import Source
from vesuv.inference.blocks.statistics import ImageStatistics
from vesuv.inference.levels import dequantise, quantise
from vesuv.inference.postprocess.blockwise import Block
from vesuv.inference.predictor import Predictor
from vesuv.io.formats.volume import FormatError
from vesuv.io.lazy import Voxels
from vesuv.runtime.memory import give_back_freed_memory
from vesuv.types import Array, Spacing

OnWindows = Callable[[int], None]
_SLICES = 32
"""Slices of a block whose mask is made at a time."""


@dataclass(frozen=True)
class BlockResult:
    """A predicted block that is not written yet."""

    block: Block
    levels: Tensor
    counts: WindowCounts


@dataclass(frozen=True)
class BlockWork:
    """Blocks of one volume, from file to output; can be sent to other processes.

    Args:
        predictor: Networks and settings.
        source: The volume.
        grids: Its grids.
        statistics: Its intensities.
        spacing: Its spacing, in the unit of training.
        output: Where blocks are written.
        writes_levels: Whether the probabilities are written.
        writes_mask: Whether the mask is written; not where it depends on other blocks.
    """

    predictor: Predictor
    source: Source
    grids: Grids
    statistics: ImageStatistics
    spacing: Spacing
    output: BlockOutput
    writes_levels: bool
    writes_mask: bool

    @cached_property
    def voxels(self) -> Voxels:
        return self.source.open().voxels

    @cached_property
    def computer(self) -> BlockPredictor:
        return BlockPredictor(self.predictor, self.grids, self.statistics)

    def __getstate__(self) -> dict[str, object]:
        """Leave open files out."""
        return {k: v for k, v in self.__dict__.items() if k not in ("voxels", "computer")}

    def read(self, block: Block) -> Array:
        """Return the image that a block's probabilities depend on.

        Raises:
            InputError: The volume cannot be read; what is written stays.
        """
        try:
            return self.computer.read(self.voxels, block.region)
        except InputError as fault:
            raise InputError(f"{self.source.files[0]}: {fault}") from None
        except (FormatError, OSError, ValueError) as fault:
            raise InputError(
                f"{self.source.files[0]}: voxels of block {block_name(block)} cannot be read "
                f"({fault!s:.200}); correct it and start the same command again, it goes on"
            ) from None

    def compute(
        self, block: Block, image: Array, on_windows: OnWindows | None = None
    ) -> BlockResult:
        """Return the levels of probability of a block.

        Args:
            block: The block.
            image: Result of `read`.
            on_windows: Called with the number of windows that are finished since the last call.
        """
        counts = WindowCounts(on_windows=on_windows)
        probs = self.computer.predict(image, block.region, counts)
        levels = quantise(probs, overlap=self.predictor.targets.overlap)
        return BlockResult(block, levels, counts)

    def write(self, result: BlockResult) -> BlockRecord:
        """Write the shards of a block and record them."""
        digests = {}
        region = result.block.region
        if self.writes_levels:
            whole = (slice(0, len(result.levels)), *region)
            digests[LEVELS_LEVEL] = self.output.levels().write(whole, result.levels.numpy())
        if self.writes_mask:
            digests[MASK_LEVEL] = self.output.mask().write(region, self._mask(result.levels))
        counts = result.counts
        record = BlockRecord(block_name(result.block), digests, counts.computed, counts.empty)
        Journal.of(self.output.path).add(record)
        give_back_freed_memory()
        return record

    def _mask(self, levels: Tensor) -> Array:
        """Label values of levels, some slices at a time: as floats they take four times as much."""
        parts = [
            self.predictor.classes(dequantise(levels[:, start : start + _SLICES]), self.spacing)
            for start in range(0, levels.shape[1], _SLICES)
        ]
        return decode(np.concatenate(parts), self.output.labels)

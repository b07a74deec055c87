"""What one process needs to predict blocks: read, compute, write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vesuv.data.labels import decode
from vesuv.errors import InputError
from vesuv.inference.blocks.arrays import (
    LEVELS_LEVEL,
    MASK_LEVEL,
    UNCERTAINTY_LEVEL,
    WITH_CHANNELS,
)
from vesuv.inference.blocks.blending import OnWindows, WindowCounts
from vesuv.inference.blocks.compute import BlockPredictor, Grids
from vesuv.inference.blocks.journal import BlockRecord, Journal
from vesuv.inference.blocks.output import BlockOutput
from vesuv.inference.blocks.plan import block_name
from vesuv.inference.blocks.source import Source
from vesuv.inference.blocks.statistics import ImageStatistics
from vesuv.inference.levels import dequantise, quantise
from vesuv.inference.postprocess.blockwise import Block
from vesuv.inference.predictor import Predictor
from vesuv.inference.uncertainty import quantise_uncertainty
from vesuv.io.formats.volume import FormatError
from vesuv.io.lazy import Voxels
from vesuv.io.memory import give_back_freed_memory
from vesuv.types import Array, Spacing

_SLICES = 32
"""Slices of a block whose mask or calibrated probabilities are made at a time."""


@dataclass(frozen=True)
class BlockResult:
    """A predicted block that is not written yet.

    Args:
        block: The block.
        levels: Levels of probability (k, z, y, x).
        counts: Its windows.
        uncertainty: Steps of uncertainty (z, y, x); None where it is not written.
    """

    block: Block
    levels: Tensor
    counts: WindowCounts
    uncertainty: Tensor | None = None


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
        arrays: Arrays that blocks are written to, as `MASK_LEVEL`.
        calibrated: Whether the probabilities in `LEVELS_LEVEL` are calibrated.
        compiled: Whether networks are compiled.
    """

    predictor: Predictor
    source: Source
    grids: Grids
    statistics: ImageStatistics
    spacing: Spacing
    output: BlockOutput
    arrays: tuple[str, ...]
    calibrated: bool = False
    compiled: bool = False

    @cached_property
    def voxels(self) -> Voxels:
        return self.source.open().voxels

    @cached_property
    def computer(self) -> BlockPredictor:
        return BlockPredictor(
            self.predictor,
            self.grids,
            self.statistics,
            uncertainty=UNCERTAINTY_LEVEL in self.arrays,
            compiled=self.compiled,
        )

    def __getstate__(self) -> dict[str, object]:
        """Leave open files out."""
        return {k: v for k, v in self.__dict__.items() if k not in ("voxels", "computer")}

    def read(self, block: Block) -> Array:
        """Return the image that a block's probabilities depend on.

        Raises:
            InputError: The volume cannot be read; what is written stays.
        """
        remedy = "correct it and start the same command again, it goes on"
        return read_block(self.computer, self.voxels, block, self.source.files[0], remedy)

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
        prediction = self.computer.predict(image, block.region, counts)
        levels = self._levels(prediction.probs)
        if prediction.uncertainty is None:
            return BlockResult(block, levels, counts)
        steps = quantise_uncertainty(prediction.uncertainty, self.output.largest_uncertainty)
        return BlockResult(block, levels, counts, steps)

    def write(self, result: BlockResult) -> BlockRecord:
        """Write the shards of a block and record them."""
        digests = {}
        for name in self.arrays:
            values = self._values(name, result)
            channels = [slice(0, len(values))] if values.ndim == 4 else []
            region = (*channels, *result.block.region)
            digests[name] = self.output.array(name).write(region, values)
        counts = result.counts
        record = BlockRecord(block_name(result.block), digests, counts.computed, counts.empty)
        Journal.of(self.output.path).add(record)
        give_back_freed_memory()
        return record

    def _values(self, name: str, result: BlockResult) -> Array:
        """What an array holds of a block."""
        if name == MASK_LEVEL:
            return self._mask(result.levels)
        if name == UNCERTAINTY_LEVEL:
            assert result.uncertainty is not None
            return result.uncertainty.numpy()
        if name == LEVELS_LEVEL and self.calibrated:
            return self._calibrated(result.levels)
        assert name in WITH_CHANNELS, name
        return result.levels.numpy()

    def _levels(self, probs: Tensor) -> Tensor:
        return quantise(probs, overlap=self.predictor.targets.overlap)

    def _calibrated(self, levels: Tensor) -> Array:
        """Levels of the calibrated probabilities."""
        parts = [self._levels(self.predictor.calibrate(probs)) for probs in _slabs(levels)]
        return torch.cat(parts, dim=1).numpy()

    def _mask(self, levels: Tensor) -> Array:
        """Label values."""
        parts = [self.predictor.classes(probs, self.spacing) for probs in _slabs(levels)]
        return decode(np.concatenate(parts), self.output.labels)


def read_block(
    computer: BlockPredictor, voxels: Voxels, block: Block, name: str, remedy: str
) -> Array:
    """Return the image that a block's probabilities depend on.

    Args:
        computer: Networks that will predict it.
        voxels: The file.
        block: The block.
        name: Name of the file.
        remedy: What the user does about a file that cannot be read.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return computer.read(voxels, block.region)
    except InputError as fault:
        raise InputError(f"{name}: {fault}") from None
    except FormatError as fault:
        raise InputError(
            f"{name}: voxels of block {block_name(block)} cannot be read ({fault}); {remedy}"
        ) from None


def _slabs(levels: Tensor) -> Iterator[Tensor]:
    """Yield the probabilities of some slices at a time: they take four times as much as levels."""
    for start in range(0, levels.shape[1], _SLICES):
        yield dequantise(levels[:, start : start + _SLICES])

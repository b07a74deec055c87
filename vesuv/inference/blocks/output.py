"""Output of a prediction in blocks: an OME-Zarr image of the mask, and one of the probabilities."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.config.data import PROBABILITY_STEPS
from vesuv.config.labels import LabelsConfig
from vesuv.data.labels import decode
from vesuv.inference.blocks.plan import BlockPlan
from vesuv.io.formats.volume import Volume
from vesuv.io.pyramid import labels_of_eight, mean_of_eight, write_metadata, write_pyramid
from vesuv.io.sharded import ShardedArray
from vesuv.types import Array, ClassArray, Progress, Region

PROBABILITIES = "probabilities"
"""Group of the probabilities inside the image of the mask."""
MASK_LEVEL, LEVELS_LEVEL = "0", f"{PROBABILITIES}/0"
"""Finest level of each image, below the output."""


@dataclass(frozen=True)
class BlockOutput:
    """The arrays of an output.

    Args:
        path: Folder of the image.
        plan: Blocks and shards.
        labels: Label values of the mask.
        channels: Names of the channels of probability.
    """

    path: Path
    plan: BlockPlan
    labels: LabelsConfig
    channels: tuple[str, ...]

    @property
    def background(self) -> int:
        return int(self.labels.values()[0][1][0])

    def create(self, *, mask: bool, levels: bool) -> None:
        """Write the metadata of the arrays that blocks are written to."""
        import zarr

        zarr.open_group(str(self.path), mode="a", zarr_format=3)
        chunks, shards = (self.plan.chunk,) * 3, (self.plan.shard,) * 3
        if mask:
            dtype = decode(np.zeros(0, np.uint8), self.labels).dtype
            shutil.rmtree(self.path / MASK_LEVEL, ignore_errors=True)
            ShardedArray.create(
                self.path / MASK_LEVEL,
                self.plan.shape,
                dtype,
                chunks=chunks,
                shards=shards,
                fill_value=self.background,
            )
        if levels:
            zarr.open_group(str(self.path / PROBABILITIES), mode="a", zarr_format=3)
            ShardedArray.create(
                self.path / LEVELS_LEVEL,
                (len(self.channels), *self.plan.shape),
                np.dtype(np.uint8),
                chunks=(1, *chunks),
                shards=(1, *shards),
            )

    def mask(self) -> ShardedArray:
        return ShardedArray(self.path / MASK_LEVEL)

    def levels(self) -> ShardedArray:
        return ShardedArray(self.path / LEVELS_LEVEL)

    def finish_mask(self, like: Volume, others: dict[str, Any], progress: Progress) -> None:
        """Write the coarser levels of the mask, and the metadata that make it an image."""
        self.mask().remove_partial_files()
        count = self._write_pyramid(self.path, labels_of_eight(self.background), progress)
        values = {name: list(values) for name, values in self.labels.values()}
        write_metadata(self.path, like, count, 3, {"vesuv": {**others, "labels": values}})

    def finish_levels(self, like: Volume, progress: Progress) -> None:
        """Write the coarser levels of the probabilities, and their metadata."""
        self.levels().remove_partial_files()
        folder = self.path / PROBABILITIES
        count = self._write_pyramid(folder, mean_of_eight, progress)
        scale = {
            "channels": list(self.channels),
            "levels": PROBABILITY_STEPS,
            "meaning": f"probability = (value + 0.5) / {PROBABILITY_STEPS}, at most 1",
        }
        write_metadata(folder, like, count, 4, {"vesuv": scale})

    def remove_levels(self) -> None:
        """Remove the probabilities, which only the mask was made from."""
        shutil.rmtree(self.path / PROBABILITIES, ignore_errors=True)

    def _write_pyramid(self, image: Path, downsample: Any, progress: Progress) -> int:
        for folder in image.iterdir():
            if folder.name.isdecimal() and folder.name != MASK_LEVEL:
                shutil.rmtree(folder)  # what a killed process left
        fill_value = self.background if image == self.path else 0
        return write_pyramid(image, downsample, fill_value, progress=progress)


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

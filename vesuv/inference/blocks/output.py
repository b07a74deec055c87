"""Output of a prediction in blocks: an OME-Zarr image of the mask, and one of the probabilities."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vesuv.config.data import PROBABILITY_STEPS
from vesuv.config.labels import LabelsConfig
from vesuv.data.labels import decode
from vesuv.inference.blocks.arrays import (
    LEVELS_LEVEL,
    MASK_LEVEL,
    PROBABILITIES,
    UNCALIBRATED_LEVEL,
    UNCERTAINTY,
    UNCERTAINTY_LEVEL,
    WITH_CHANNELS,
)
from vesuv.inference.blocks.plan import BlockPlan
from vesuv.inference.uncertainty import UNCERTAINTY_STEPS, largest_uncertainty
from vesuv.io.formats.volume import Volume
from vesuv.io.pyramid import labels_of_eight, mean_of_eight, write_metadata, write_pyramid
from vesuv.io.sharded import ShardedArray
from vesuv.types import Progress


@dataclass(frozen=True)
class BlockOutput:
    """The arrays of an output.

    Args:
        path: Folder of the image.
        plan: Blocks and shards.
        labels: Label values of the mask.
        channels: Names of the channels of probability.
        overlapping_regions: Whether the channels are regions.
    """

    path: Path
    plan: BlockPlan
    labels: LabelsConfig
    channels: tuple[str, ...]
    overlapping_regions: bool = False

    @property
    def largest_uncertainty(self) -> float:
        """Bits that the greatest value of the array of uncertainty stands for."""
        return largest_uncertainty(len(self.channels), overlap=self.overlapping_regions)

    @property
    def background(self) -> int:
        return int(self.labels.values()[0][1][0])

    def create(self, names: Iterable[str]) -> None:
        """Write the metadata of arrays that blocks are written to.

        Args:
            names: Places of the arrays below the output, as `MASK_LEVEL`.
        """
        import zarr

        zarr.open_group(str(self.path), mode="a", zarr_format=3)
        for name in names:
            shutil.rmtree(self.path / name, ignore_errors=True)
            if name in (LEVELS_LEVEL, UNCERTAINTY_LEVEL):
                zarr.open_group(str((self.path / name).parent), mode="a", zarr_format=3)
            has_channels = name in WITH_CHANNELS
            one = (1,) * has_channels
            ShardedArray.create(
                self.path / name,
                (*(len(self.channels),) * has_channels, *self.plan.shape),
                self._dtype(name),
                chunks=(*one, *(self.plan.chunk,) * 3),
                shards=(*one, *(self.plan.shard,) * 3),
                fill_value=self.background if name == MASK_LEVEL else 0,
            )

    def _dtype(self, name: str) -> np.dtype[Any]:
        is_mask = name == MASK_LEVEL
        return decode(np.zeros(0, np.uint8), self.labels).dtype if is_mask else np.dtype(np.uint8)

    def array(self, name: str) -> ShardedArray:
        return ShardedArray(self.path / name)

    def mask(self) -> ShardedArray:
        return self.array(MASK_LEVEL)

    def levels(self) -> ShardedArray:
        """Levels of probability that masks are made of."""
        is_calibrated = (self.path / UNCALIBRATED_LEVEL).is_dir()
        return self.array(UNCALIBRATED_LEVEL if is_calibrated else LEVELS_LEVEL)

    def finish_mask(self, like: Volume, others: dict[str, Any], progress: Progress) -> None:
        """Write the coarser levels of the mask, and the metadata that make it an image."""
        self.mask().remove_partial_files()
        count = self._write_pyramid(self.path, labels_of_eight(self.background), progress)
        values = {name: list(values) for name, values in self.labels.values()}
        write_metadata(self.path, like, count, 3, {"vesuv": {**others, "labels": values}})

    def finish_levels(self, like: Volume, calibrated: bool, progress: Progress) -> None:
        """Write the coarser levels of the probabilities, and their metadata."""
        scale = {
            "channels": list(self.channels),
            "levels": PROBABILITY_STEPS,
            "meaning": f"probability = (value + 0.5) / {PROBABILITY_STEPS}, at most 1",
            "calibrated": calibrated,
        }
        self._finish_group(PROBABILITIES, like, 4, scale, progress)

    def finish_uncertainty(self, like: Volume, progress: Progress) -> None:
        """Write the coarser levels of the uncertainty, and their metadata."""
        largest = self.largest_uncertainty
        scale = {
            "unit": "bit",
            "largest": largest,
            "meaning": f"mutual information = value * {largest:.7g} / {UNCERTAINTY_STEPS}",
        }
        self._finish_group(UNCERTAINTY, like, 3, scale, progress)

    def _finish_group(
        self, name: str, like: Volume, ndim: int, scale: dict[str, Any], progress: Progress
    ) -> None:
        self.array(f"{name}/0").remove_partial_files()
        count = self._write_pyramid(self.path / name, mean_of_eight, progress)
        write_metadata(self.path / name, like, count, ndim, {"vesuv": scale})

    def remove_levels(self, *, keep_probabilities: bool) -> None:
        """Remove the probabilities that only the mask was made from."""
        shutil.rmtree((self.path / UNCALIBRATED_LEVEL).parent, ignore_errors=True)
        if not keep_probabilities:
            shutil.rmtree(self.path / PROBABILITIES, ignore_errors=True)

    def _write_pyramid(self, image: Path, downsample: Any, progress: Progress) -> int:
        for folder in image.iterdir():
            if folder.name.isdecimal() and folder.name != MASK_LEVEL:
                shutil.rmtree(folder)  # what a killed process left
        fill_value = self.background if image == self.path else 0
        return write_pyramid(image, downsample, fill_value, progress=progress)

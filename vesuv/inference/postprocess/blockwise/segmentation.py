"""Class indices of a volume of levels that is larger than memory, block by block.

The result equals `MaskSettings.classes` of the whole volume to the bit, for every chain.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vesuv.config.postprocess import begins_with_cut
from vesuv.inference.levels import dequantise, round_to_steps
from vesuv.inference.masks import (
    MaskSettings,
    class_score,
    likeliest,
    likeliest_claim,
    weighted_probs,
)
from vesuv.inference.postprocess.blockwise.chain import apply_chain_blockwise, check_blockwise
from vesuv.inference.postprocess.blockwise.grid import (
    Block,
    BlockGrid,
    box_shape,
    intersection,
    within,
)
from vesuv.inference.postprocess.blockwise.run import BlockRun
from vesuv.inference.postprocess.blockwise.shared_array import (
    ReadableArray,
    WritableArray,
    shareable,
)
from vesuv.inference.postprocess.blockwise.stored_mask import Volume
from vesuv.types import Array, ClassArray, Mask, Region, Spacing


def segment_blocks(
    levels: ReadableArray,
    settings: MaskSettings,
    spacing: Spacing,
    output: WritableArray,
    run: BlockRun,
) -> None:
    """Write the class indices of levels, as `settings.classes(dequantise(levels))` returns them.

    Memory: a few blocks a process, of 4 bytes a channel, and the tables of the components. Disk:
    for each target, one bit a voxel for its mask, and up to five while its chain runs.

    Args:
        levels: uint8 (k, z, y, x), see `vesuv.inference.levels`.
        settings: Threshold and post-processing of each target.
        spacing: Voxel edges (z, y, x).
        output: uint8 (z, y, x); each of its chunks (or shards) is written once, as a whole, from
            several blocks where it is larger than one.
        run: Blocks, and where they are processed. With several processes, `levels` and `output` are
            zarr arrays or memory maps of whole files.

    Raises:
        InputError: A step does not say which voxels a voxel depends on.
    """
    grid = run.grid
    assert levels.shape[1:] == output.shape == grid.shape, (levels.shape, output.shape, grid)
    for cut in settings.cuts:
        for step in cut.chain:
            check_blockwise(step, spacing)
    levels, output = shareable(levels), shareable(output)
    with tempfile.TemporaryDirectory(dir=run.scratch, prefix="masks_") as folder:
        run = replace(run, scratch=Path(folder))
        masks = tuple(
            _target_mask(levels, settings, target, spacing, run)
            for target in range(len(settings.cuts))
        )
        source = _Source(levels, settings, masks, grid)
        work = partial(_write_classes, source, output)
        run.finish_pass("classes", work, _write_grid(output, grid).blocks())


@dataclass(frozen=True)
class _Source:
    """What the class indices are computed from."""

    levels: ReadableArray
    settings: MaskSettings
    masks: tuple[Volume | None, ...]
    """Processed mask of each target; None: it is where the class is the likeliest."""
    grid: BlockGrid

    def read_classes(self, box: Region) -> ClassArray:
        targets = self.settings.targets
        if not targets.overlap and len(self.masks) > 1:
            weighted = _read_weighted_probs(self.levels, self.settings, box)
            winner = likeliest(weighted).numpy()
            claims = [
                winner == index if mask is None else mask.read(box)
                for index, mask in enumerate(self.masks, start=1)
            ]
            return likeliest_claim(weighted, claims)
        classes = np.zeros(box_shape(box), np.uint8)
        for mask, index in zip(self.masks, targets.written, strict=True):
            assert mask is not None
            classes[mask.read(box)] = index
        return classes


@dataclass(frozen=True)
class _Score:
    """Score of one target."""

    levels: ReadableArray
    settings: MaskSettings
    target: int

    def read(self, box: Region) -> Array:
        settings, target = self.settings, self.target
        if settings.targets.overlap or self.levels.shape[0] == 1:
            score: Array = _probs_of_levels()[np.asarray(self.levels[(target, *box)])]
            return score
        probs = _read_probs(self.levels, box)
        return class_score(probs, settings.thresholds, target, settings.targets).numpy()


@dataclass(frozen=True)
class _LikeliestMask:
    """Mask of the voxels where the class of one target is the likeliest."""

    levels: ReadableArray
    settings: MaskSettings
    target: int

    def read(self, box: Region) -> Mask:
        weighted = _read_weighted_probs(self.levels, self.settings, box)
        mask: Mask = likeliest(weighted).numpy() == self.target + 1
        return mask


def _target_mask(
    levels: ReadableArray, settings: MaskSettings, target: int, spacing: Spacing, run: BlockRun
) -> Volume | None:
    """Return the processed mask of one target; None: it is where the class is the likeliest."""
    cut, targets = settings.cuts[target], settings.targets
    if targets.overlap or len(settings.cuts) == 1 or begins_with_cut(cut.chain):
        score = _Score(levels, settings, target)
        return apply_chain_blockwise(score, cut.score_chain, spacing, run)
    if not cut.chain:
        return None
    volume = _LikeliestMask(levels, settings, target)
    return apply_chain_blockwise(volume, cut.chain, spacing, run)


def _write_grid(output: Any, grid: BlockGrid) -> BlockGrid:
    """Return blocks of whole chunks (or shards): two writers of one chunk would lose voxels."""
    chunks = getattr(output, "shards", None) or getattr(output, "chunks", None) or (1, 1, 1)
    z, y, x = (-(-edge // chunk) * chunk for edge, chunk in zip(grid.block, chunks, strict=True))
    return BlockGrid(grid.shape, (z, y, x))


def _write_classes(source: _Source, output: WritableArray, block: Block) -> None:
    classes = np.empty(block.shape, np.uint8)
    for part in source.grid.overlapping(block.region):
        box = intersection(part.region, block.region)
        classes[within(box, block.region)] = source.read_classes(box)
    output[block.region] = classes


def _read_probs(levels: ReadableArray, box: Region) -> Tensor:
    part = np.array(levels[(slice(None), *box)])  # a copy that may be written
    return round_to_steps(dequantise(torch.from_numpy(part)))


def _read_weighted_probs(levels: ReadableArray, settings: MaskSettings, box: Region) -> Tensor:
    return weighted_probs(_read_probs(levels, box), settings.weights)


@cache
def _probs_of_levels() -> Array:
    """Return the probability of each level of a channel that excludes no other."""
    levels = torch.arange(256, dtype=torch.uint8)[None]
    return round_to_steps(dequantise(levels), overlap=True)[0].numpy()

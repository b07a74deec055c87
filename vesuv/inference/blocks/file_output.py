"""Large volumes of a folder: predicted in blocks, and written as files slab by slab."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from vesuv.config.data import PROBABILITY_STEPS
from vesuv.errors import InputError
from vesuv.inference.blocks.output import LEVELS_LEVEL, MASK_LEVEL
from vesuv.inference.blocks.run import BlockPrediction
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.blocks.source import Source
from vesuv.inference.domain_shift import DomainShift
from vesuv.inference.inputs import InputVolume
from vesuv.io.formats import suffix
from vesuv.io.lazy import LAZY_SUFFIXES
from vesuv.io.sharded import ShardedArray
from vesuv.io.slabs import write_slabs
from vesuv.types import Array

LARGE_VOXELS = 2**30
"""Volumes with more voxels are predicted in blocks."""


def is_large(volume: InputVolume) -> bool:
    """Return whether a volume has more than `LARGE_VOXELS` voxels, and can be read in parts."""
    source = Source(tuple(map(str, volume.files)))
    if not all(suffix(path) in LAZY_SUFFIXES for path in volume.files):
        return False
    try:
        return math.prod(source.open().shape) > LARGE_VOXELS
    except InputError:
        return False  # reading it as a whole says what is wrong


def block_folder(mask_file: Path) -> Path:
    """Return the folder of a volume's blocks, beside the file of its mask."""
    return mask_file.with_name(f".{mask_file.name}.blocks.zarr")


def predict_to_files(prediction: BlockPrediction, files: list[Path]) -> list[DomainShift]:
    """Predict a volume in blocks, and write its mask and probabilities as files.

    Args:
        prediction: Into `block_folder`, which is removed at the end.
        files: File of the mask, and possibly that of the probabilities.

    Returns:
        How the volume differs from those of training.
    """
    shifts = prediction.run()
    like = prediction.volume.header
    mask = ShardedArray(prediction.output / MASK_LEVEL)
    write_slabs(files[0], mask.shape, mask.dtype, lambda _, z: mask[z], like)
    for file in files[1:]:
        levels = ShardedArray(prediction.output / LEVELS_LEVEL)
        shape = levels.shape if levels.shape[0] > 1 else levels.shape[1:]

        def read(channel: int, z: slice, levels: ShardedArray = levels) -> Array:
            steps = levels[channel, z].astype(np.float32)
            probs: Array = np.minimum(
                (steps + 0.5) / np.float32(PROBABILITY_STEPS), np.float32(1.0)
            )
            return probs

        write_slabs(file, shape, np.dtype(np.float32), read, like)
    shutil.rmtree(prediction.output)
    return shifts


def settings_for_files(settings: BlockSettings, *, probabilities: bool) -> BlockSettings:
    """Return the settings with which the blocks of a file are predicted."""
    return replace(settings, keep_probabilities=probabilities)

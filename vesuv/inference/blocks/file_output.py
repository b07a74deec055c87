"""Large volumes of a folder: predicted in blocks, and written as files slab by slab."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vesuv.inference.blocks.arrays import LEVELS_LEVEL, MASK_LEVEL, UNCERTAINTY_LEVEL
from vesuv.inference.blocks.run import BlockPrediction
from vesuv.inference.blocks.settings import BlockSettings
from vesuv.inference.domain_shift import DomainShift
from vesuv.inference.levels import dequantise
from vesuv.inference.uncertainty import dequantise_uncertainty
from vesuv.io.sharded import ShardedArray
from vesuv.io.slabs import write_slabs
from vesuv.types import Array


def block_folder(mask_file: Path) -> Path:
    """Return the folder of a volume's blocks, beside the file of its mask."""
    return mask_file.with_name(f".{mask_file.name}.blocks.zarr")


def predict_to_files(
    prediction: BlockPrediction, files: list[Path], *, calibrated: bool = False
) -> list[DomainShift]:
    """Predict a volume in blocks, and write its mask, probabilities and uncertainty as files.

    Args:
        prediction: Into `block_folder`, which is removed at the end; its probabilities are not
            calibrated.
        files: File of the mask, then those of the probabilities and of the uncertainty, where the
            prediction has them.
        calibrated: Write calibrated probabilities.

    Returns:
        How the volume differs from those of training.
    """
    shifts = prediction.run()
    like = prediction.input.volume.header
    settings, remaining = prediction.settings, iter(files)
    mask = ShardedArray(prediction.output / MASK_LEVEL)
    write_slabs(next(remaining), mask.shape, mask.dtype, lambda _, z: mask[z], like)
    if settings.keep_probabilities:
        levels = ShardedArray(prediction.output / LEVELS_LEVEL)
        shape = levels.shape if levels.shape[0] > 1 else levels.shape[1:]

        def read_probs(channel: int, z: slice) -> Array:
            if not calibrated:
                return dequantise(torch.from_numpy(levels[channel, z])).numpy()
            probs = dequantise(torch.from_numpy(levels[:, z]))
            return prediction.predictor.calibrate(probs)[channel].numpy()

        write_slabs(next(remaining), shape, np.dtype(np.float32), read_probs, like)
    if settings.uncertainty:
        steps = ShardedArray(prediction.output / UNCERTAINTY_LEVEL)
        largest = prediction.largest_uncertainty

        def read_bits(_: int, z: slice) -> Array:
            return dequantise_uncertainty(torch.from_numpy(steps[z]), largest).numpy()

        write_slabs(next(remaining), steps.shape, np.dtype(np.float32), read_bits, like)
    shutil.rmtree(prediction.output)
    return shifts


def settings_for_files(
    settings: BlockSettings, *, probabilities: bool, uncertainty: bool
) -> BlockSettings:
    """Return the settings with which the blocks of a file are predicted.

    Their probabilities are calibrated when the file is written.
    """
    return replace(
        settings,
        keep_probabilities=probabilities,
        calibrated=False,
        uncertainty=uncertainty,
        records_choices=False,
    )

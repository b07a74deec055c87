"""Make a data set of rolled sheets to learn and to test on."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from vesuv.data.phantom import make_phantom
from vesuv.errors import InputError

_OURS = ("train_images", "train_labels", "test_images", "test_labels")
_FILES = ("train.csv", "test.csv")


def phantom(
    output: Path, *, cases: int, held_out: int, size: int, seed: int, overwrite: bool = False
) -> None:
    """Write a phantom data set in the Kaggle layout.

    Args:
        output: Folder of the data set.
        cases: Training volumes.
        held_out: Volumes in test_images/ and test_labels/.
        size: Edge of each volume in voxels.
        seed: Settles every voxel.
        overwrite: Replace a data set that is there.

    Raises:
        InputError: A data set is there, or the folder cannot be written.
    """
    there = [name for name in (*_OURS, *_FILES) if (output / name).exists()]
    if there and not overwrite:
        raise InputError(f"{output}: holds {there[0]} already; --overwrite replaces it")
    try:
        for name in _OURS:
            shutil.rmtree(output / name, ignore_errors=True)
        make_phantom(output, num_cases=cases, size=size, seed=seed, num_test=held_out)
    except OSError as fault:
        raise InputError(f"{output}: cannot be written: {fault.strerror}") from None
    Console(highlight=False).print(
        f"{output}: {cases} training and {held_out} held-out volumes of {size}³ voxels",
        markup=False,
    )

#!/usr/bin/env python3
"""Write a data set of the Kaggle layout again with half of its voxels unlabelled.

    python bench/half_labelled.py --data DATA --output HALF --held-out CASE CASE

HALF has the images, and labels in which a smooth random half of each cube is `ignore`, as where
labelling is not finished. Beside them test_images and test_labels hold the cases --held-out with
all their labels, for `study.held_out`: `vesuv study ignore` asks what the unlabelled voxels cost.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from vesuv.data.smooth_field import smooth_field
from vesuv.io import formats

IGNORE = 2
SCALE = 25.0
"""Voxels over which labelled and unlabelled places alternate."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--held-out", nargs="+", required=True, metavar="CASE")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data, output = arguments.data, arguments.output
    rng = np.random.default_rng(arguments.seed)
    shutil.copytree(data / "train_images", output / "train_images")
    shutil.copyfile(data / "train.csv", output / "train.csv")
    for folder in ("train_labels", "test_images", "test_labels"):
        (output / folder).mkdir()
    for file in formats.volumes_in(data / "train_labels"):
        volume = formats.read(file)
        array = volume.array
        field = smooth_field(rng, max(array.shape), SCALE)[tuple(map(slice, array.shape))]
        half = np.where(field > np.median(field), IGNORE, array).astype(array.dtype)
        formats.write(output / "train_labels" / file.name, half, volume)
    for case in arguments.held_out:
        for kind in ("images", "labels"):
            (file,) = (data / f"train_{kind}").glob(f"{case}.*")
            shutil.copyfile(file, output / f"test_{kind}" / file.name)


if __name__ == "__main__":
    main()

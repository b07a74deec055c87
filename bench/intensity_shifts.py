#!/usr/bin/env python3
"""Score runs on held-out volumes whose intensities were changed: what carries over, and what not.

    python bench/intensity_shifts.py --data DATA --cases CASE CASE --runs RUN …

DATA has train_images and train_labels; the runs must not have trained on the cases. Strengths are
in standard deviations of each image. Prints the mean Dice of the cases, and how many voxels are
predicted for each labelled one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

import vesuv
from vesuv.evaluation.pairs import by_id
from vesuv.io import formats
from vesuv.types import Array

Change = Callable[[Array, np.random.Generator], Array]
MEASURES = ["dice", "predicted_fraction", "labelled_fraction"]
CLIP = (0.5, 99.5)
"""Percentiles between which a gamma curve is drawn."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", nargs="+", required=True, metavar="CASE")
    parser.add_argument("--runs", nargs="+", type=Path, required=True, metavar="RUN")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    images, labels = (by_id(arguments.data / f"train_{kind}") for kind in ("images", "labels"))
    cases = [
        (formats.read(images[case]).array.astype(np.float32), formats.read(labels[case]).array)
        for case in arguments.cases
    ]
    models = [vesuv.load(run, changes=arguments.set) for run in arguments.runs]
    print("| change | " + " | ".join(map(str, arguments.runs)) + " |")
    print("|---|" + "---|" * len(models))
    for name, change in CHANGES.items():
        rng = np.random.default_rng(arguments.seed)
        changed = [(change(image, rng), label) for image, label in cases]
        cells = [_cell(model, changed) for model in models]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def _cell(model: vesuv.Predictor, cases: Sequence[tuple[Array, Array]]) -> str:
    """Return the mean Dice of a run, and the mean ratio of predicted and labelled voxels."""
    ignore = model.config.labels.ignore
    scores = [
        vesuv.evaluate(model.segment(image), label, MEASURES, ignore=ignore)
        for image, label in cases
    ]
    dice = np.mean([score["dice"] for score in scores])
    ratio = np.mean([score["predicted_fraction"] / score["labelled_fraction"] for score in scores])
    return f"{dice:.3f} (× {ratio:.2f})"


def _gamma(exponent: float) -> Change:
    def change(image: Array, _: np.random.Generator) -> Array:
        low, high = np.percentile(image, CLIP)
        return np.clip((image - low) / (high - low), 0.0, 1.0) ** np.float32(exponent)

    return change


def _blur(sigma: float) -> Change:
    return lambda image, _: ndimage.gaussian_filter(image, sigma)


def _noise(image: Array, rng: np.random.Generator) -> Array:
    return image + rng.normal(0.0, 0.5, image.shape).astype(np.float32) * image.std()


def _ramp(image: Array, _: np.random.Generator) -> Array:
    """Add -1.3 deviations at one end of y, 1.3 at the other."""
    slope = np.linspace(-1.3, 1.3, image.shape[1], dtype=np.float32)[:, np.newaxis]
    return image + slope * image.std()


def _slices(image: Array, rng: np.random.Generator) -> Array:
    """Add an offset to each slice, of a third of a deviation in the mean square."""
    offsets = rng.normal(0.0, 1 / 3, (len(image), 1, 1)).astype(np.float32)
    return image + offsets * image.std()


def _contrast(image: Array, _: np.random.Generator) -> Array:
    """Scale contrast by 0.6 at one end of x, 1.4 at the other."""
    return (image - image.mean()) * np.linspace(0.6, 1.4, image.shape[2], dtype=np.float32)


CHANGES: dict[str, Change] = {
    "none": lambda image, _: image,
    "gamma 0.7": _gamma(0.7),
    "gamma 1.4": _gamma(1.4),
    "noise of 0.5 deviations": _noise,
    "blur of 0.7 voxels": _blur(0.7),
    "blur of 1 voxel": _blur(1.0),
    "ramp from −1.3 to 1.3 deviations": _ramp,
    "offsets of slices, 0.33 deviations": _slices,
    "contrast from 0.6 to 1.4": _contrast,
}


if __name__ == "__main__":
    main()

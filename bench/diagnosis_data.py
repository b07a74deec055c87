"""Phantom data for the proof of the findings: healthy, and spoilt in one way each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesuv.data.phantom import SURFACE, UNLABELLED, make_phantom
from vesuv.io import formats

Volume = NDArray[np.uint8]
Spoil = Callable[[Volume, Volume, int, np.random.Generator], tuple[Volume, Volume]]
"""Image, label, scroll, generator -> image, label."""


def data_set(folder: Path, kind: str, seed: int) -> Path:
    """Return a data set, made only once: nine volumes of three scrolls; few: three small."""
    made = folder / f"{kind}_{seed}"
    if (made / "train.csv").is_file():
        return made
    partial = made.with_name(f".{made.name}")
    shutil.rmtree(partial, ignore_errors=True)
    few = kind == "few"
    make_phantom(partial, num_cases=3 if few else 9, size=32 if few else 64, seed=seed)
    if kind in SPOIL:
        for index, path in enumerate(sorted((partial / "train_labels").iterdir())):
            rng = np.random.default_rng([seed, index])
            files = [partial / part / path.name for part in ("train_images", "train_labels")]
            image, label = (np.asarray(formats.read(file).array) for file in files)
            for file, volume in zip(files, SPOIL[kind](image, label, index % 3, rng), strict=True):
                formats.write(file, volume)
    partial.rename(made)
    return made


def rare(
    image: Volume, label: Volume, _scroll: int, rng: np.random.Generator
) -> tuple[Volume, Volume]:
    """Keep the structure in one box; elsewhere there is nothing but noise, and labelled as such."""
    corner = rng.integers(0, image.shape[0] - 14, 3)
    box = tuple(slice(c, c + 14) for c in corner)
    nothing = np.clip(rng.normal(60, 12, image.shape), 0, 255).astype(np.uint8)
    nothing[box] = image[box]
    background = np.zeros_like(label)
    background[box] = np.where(label[box] == UNLABELLED, 0, label[box])
    return nothing, background


def jittered(edge: int, reach: int) -> Spoil:
    """Move the labelled surface by up to `reach` voxels, each block of `edge` its own way."""

    def spoil(
        image: Volume, label: Volume, _scroll: int, rng: np.random.Generator
    ) -> tuple[Volume, Volume]:
        surface = label == SURFACE
        coarse = tuple(-(-n // edge) for n in label.shape)
        shift = rng.integers(-reach, reach + 1, (3, *coarse)).repeat(edge, 1)
        shift = shift.repeat(edge, 2).repeat(edge, 3)
        shift = shift[(slice(None), *(slice(n) for n in label.shape))]
        at = np.indices(label.shape) + shift
        moved = surface[tuple(np.clip(a, 0, n - 1) for a, n in zip(at, label.shape, strict=True))]
        return image, np.where(label == UNLABELLED, UNLABELLED, moved).astype(np.uint8)

    return spoil


def shifted(scroll: int) -> Spoil:
    """Label one scroll's surface six voxels beside where it is."""

    def spoil(
        image: Volume, label: Volume, number: int, _rng: np.random.Generator
    ) -> tuple[Volume, Volume]:
        if number != scroll:
            return image, label
        return image, np.roll(label, 6, axis=(1, 2)).astype(np.uint8)

    return spoil


def blank(scroll: int) -> Spoil:
    """Scan one scroll so badly that little of it is seen."""

    def spoil(
        image: Volume, label: Volume, number: int, rng: np.random.Generator
    ) -> tuple[Volume, Volume]:
        if number != scroll:
            return image, label
        flat = ndimage.gaussian_filter(image.astype(np.float32), 5.0)
        noisy = flat + rng.normal(0, 25, image.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8), label

    return spoil


SPOIL: dict[str, Spoil] = {
    "rare": rare,
    "jitter": jittered(4, 2),
    "jitter_fine": jittered(2, 2),
    "shifted": shifted(0),
    "blank": blank(1),
}

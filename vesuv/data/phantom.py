"""The scroll phantom: synthetic volumes that resemble scroll CT, with exact labels.

The difficulties are those of scrolls. A sheet is thick, and the labelled surface is only its inner
face, which is slightly denser than the rest. Density and illumination vary more than that across
the volume, so no intensity threshold separates the surface. Neighbouring sheets touch, some are
torn, stray fibres are as bright as papyrus, and half of the volume is not labelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesuv.data.phantom_folder import CaseFolder, PhantomLayout, case_ids, start_phantom
from vesuv.data.smooth_field import Field, smooth_field
from vesuv.io import formats
from vesuv.io.atomic import catch_write_errors
from vesuv.io.tables import Cell, write_csv

BACKGROUND, SURFACE, UNLABELLED, OUTER_LAYER = 0, 1, 2, 3

_LAYOUT = PhantomLayout(
    {f"{part}_{kind}": CaseFolder(part, ".tif") for part in ("train", "test")
     for kind in ("images", "labels")},
    ("train.csv", "test.csv"),
)  # fmt: skip


@dataclass(frozen=True)
class ScrollParameters:
    """Parameters of one scroll; lengths in voxels, intensities relative to papyrus."""

    pitch: float
    """Distance between neighbouring windings."""
    thickness: float
    """Thickness of a sheet, all layers."""
    waviness: float
    """Amplitude of the warp."""
    fibre_contrast: float
    """Amplitude of the fibres' stripes."""
    noise: float
    """Standard deviation of the noise."""
    sharpness: float
    """Sigma of the scanner's blur."""
    air: float
    """Intensity between sheets."""
    gain: float
    """Grey value of papyrus."""


SCROLL_PARAMETERS = (
    ScrollParameters(
        pitch=14.0,
        thickness=8.0,
        waviness=4.0,
        fibre_contrast=0.08,
        noise=0.1,
        sharpness=0.6,
        air=0.25,
        gain=105.0,
    ),
    ScrollParameters(
        pitch=12.5,
        thickness=7.5,
        waviness=3.0,
        fibre_contrast=0.12,
        noise=0.09,
        sharpness=0.7,
        air=0.3,
        gain=95.0,
    ),
    ScrollParameters(
        pitch=16.0,
        thickness=9.0,
        waviness=5.0,
        fibre_contrast=0.12,
        noise=0.12,
        sharpness=0.5,
        air=0.15,
        gain=90.0,
    ),
)
"""Scroll number n has the parameters at n modulo their number."""

SURFACE_THICKNESS = 2.5
"""Thickness of the labelled layer in voxels."""


def make_phantom(
    folder: str | Path,
    *,
    num_cases: int,
    size: int,
    seed: int,
    scrolls: int = 3,
    num_test: int = 0,
    layers: bool = False,
    overwrite: bool = False,
) -> None:
    """Write a data set in the Kaggle layout.

    Args:
        folder: Receives train_images/, train_labels/, train.csv and, with `num_test`, test_images/,
            test_labels/ and test.csv.
        num_cases: Training volumes.
        size: Edge of each volume in voxels.
        seed: Seed of all volumes.
        scrolls: Number of scrolls, from which the volumes are cut in turn.
        num_test: Held-out volumes.
        layers: Label the outer layer of each sheet too, with a value of its own.
        overwrite: Replace an existing data set.

    Raises:
        InputError: The folder holds a data set, which is not replaced where it is no phantom, or
            cannot be written.
    """
    folder = Path(folder)
    with catch_write_errors(folder):
        ids = case_ids(num_cases, num_test, seed)
        start_phantom(folder, _LAYOUT, ids, overwrite=overwrite)
        numbers = {"train": range(num_cases), "test": range(num_cases, num_cases + num_test)}
        for part, part_numbers in numbers.items():
            rows: list[dict[str, Cell]] = []
            for number in part_numbers:
                scroll, name = number % scrolls, f"{1000 * (seed + 1) + number}"
                volume_seed = seed * 100_003 + number
                image, label = phantom_volume(volume_seed, size, scroll, layers=layers)
                formats.write(folder / f"{part}_images" / f"{name}.tif", image)
                formats.write(folder / f"{part}_labels" / f"{name}.tif", label)
                rows.append({"id": name, "scroll_id": scroll})
            if rows:
                write_csv(folder / f"{part}.csv", rows)


def phantom_volume(
    seed: int, size: int, scroll: int, *, layers: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Make one cube cut from a scroll.

    Args:
        seed: Seed; with equal size and scroll it gives equal voxels.
        size: Edge in voxels.
        scroll: Number of the scroll, which determines its parameters.
        layers: Label the outer layer of each sheet too.

    Returns:
        CT-like image, and label: 0 background, 1 surface, 2 unlabelled, and with `layers` 3 outer
        layer, which touches the surface; the image does not depend on it.
    """
    rng = np.random.default_rng([seed, scroll])
    params = SCROLL_PARAMETERS[scroll % len(SCROLL_PARAMETERS)]
    depth, along, around = _sheets(rng, size, params)
    tears = smooth_field(rng, size, 14.0) > 1.9
    papyrus = _papyrus(rng, depth, along, around, params)
    papyrus[tears] = 0.0
    surface = (depth >= 0.0) & (depth < SURFACE_THICKNESS) & ~tears
    label = np.where(surface, SURFACE, BACKGROUND).astype(np.uint8)
    if layers:
        label[(depth >= SURFACE_THICKNESS) & (depth < params.thickness) & ~tears] = OUTER_LAYER
    label_field = smooth_field(rng, size, 28.0)
    label[label_field > np.quantile(label_field, rng.uniform(0.4, 0.6))] = UNLABELLED
    return _scan(rng, papyrus, params), label


def _sheets(
    rng: np.random.Generator, size: int, params: ScrollParameters
) -> tuple[Field, Field, Field]:
    """Lay the windings of a warped spiral through the cube.

    Returns:
        Depth below the inner face of the voxel's own sheet, or of the sheet in front of it, and
        position along the scroll's axis and around it, all in voxels.
    """
    z, y, x = np.meshgrid(*(np.arange(size, dtype=np.float32),) * 3, indexing="ij", sparse=True)
    bearing, distance = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.9, 1.5)
    tilt, sway = rng.uniform(-0.2, 0.2, 2), 0.04 * size * np.sin(z / size * 4 + bearing)
    from_y = y - (size / 2 + distance * np.sin(bearing) + tilt[0] * (z - size / 2) + sway)
    from_x = x - (size / 2 + distance * np.cos(bearing) + tilt[1] * (z - size / 2))
    radius = np.hypot(from_y, from_x)
    # Angles are relative to the cube's bearing, so that the branch cut lies outside the cube.
    angle = np.arctan2(from_y, from_x) - (bearing - np.pi)
    angle = np.mod(angle + np.pi, 2 * np.pi) - np.pi
    warp = params.waviness * smooth_field(rng, size, 40.0) + _compression(rng, size, params, radius)
    turns = ((radius + warp) / params.pitch + rng.uniform() - angle / (2 * np.pi)).astype(
        np.float32
    )
    slope = np.sqrt(sum(np.square(part) for part in np.gradient(turns)))
    depth = (turns - np.floor(turns)) / np.maximum(slope, 0.02)
    return (
        depth.astype(np.float32),
        np.broadcast_to(z, depth.shape),
        (angle * radius).astype(np.float32),
    )


def _compression(
    rng: np.random.Generator, size: int, params: ScrollParameters, radius: NDArray[np.floating]
) -> Field:
    """Push windings together about one radius until their sheets touch."""
    low, high = float(radius.min()), float(radius.max())
    middle = rng.uniform(low + 0.35 * (high - low), high - 0.35 * (high - low))
    width = 1.5 * params.pitch
    window = np.clip(0.7 + 0.3 * smooth_field(rng, size, 80.0), 0.3, 1.0)
    squeeze = (params.pitch / params.thickness - 0.9) * width
    push: Field = (squeeze * window * np.tanh((radius - middle) / width)).astype(np.float32)
    return push


def _papyrus(
    rng: np.random.Generator, depth: Field, along: Field, around: Field, params: ScrollParameters
) -> Field:
    """Density of the sheets: a dense inner and a lighter outer layer, each with its own fibres."""
    size = depth.shape[0]
    inner = depth < SURFACE_THICKNESS
    stripes = np.where(inner, _stripes(rng, along), _stripes(rng, around))
    density = np.where(inner, 1.20, 0.85) + params.fibre_contrast * stripes
    density *= np.exp(0.2 * smooth_field(rng, size, 24.0))
    return np.where(depth < params.thickness, density, 0.0).astype(np.float32)


def _scan(rng: np.random.Generator, papyrus: Field, params: ScrollParameters) -> NDArray[np.uint8]:
    """Image the papyrus, with stray fibres, blur, rings, uneven illumination and noise."""
    size = papyrus.shape[0]
    matter = np.maximum(papyrus, params.air)
    for _ in range(max(1, size**3 // 60_000)):
        _draw_fibre(rng, matter)
    matter = ndimage.gaussian_filter(matter, params.sharpness)
    _, y, x = np.meshgrid(*(np.arange(size),) * 3, indexing="ij", sparse=True)
    center = rng.uniform(-0.5, 1.5, 2) * size
    ring = np.hypot(y - center[0], x - center[1]).astype(np.int64)
    rings = rng.normal(0.0, 0.05, int(ring.max()) + 1)[ring]
    grain = ndimage.gaussian_filter(rng.standard_normal(papyrus.shape, np.float32), 0.6)
    image = (
        matter + rings + 0.6 * smooth_field(rng, size, 32.0) + params.noise * grain / grain.std()
    )
    grey: NDArray[np.uint8] = np.clip(np.rint(image * params.gain + 35.0), 0, 255).astype(np.uint8)
    return grey


def _draw_fibre(rng: np.random.Generator, matter: Field) -> None:
    """Draw one bent fibre, about two voxels thick, through the cube."""
    size = matter.shape[0]
    centre, heading, bend = rng.uniform(0, size, 3), rng.normal(size=3), rng.normal(size=3)
    position = np.linspace(-0.5, 0.5, 4 * size)[:, None]
    path = centre + size * (position * heading / np.linalg.norm(heading) + position**2 * bend)
    for shift in np.ndindex(2, 2, 2):
        voxels = np.rint(path + np.array(shift) - 0.5).astype(np.int64)
        inside = voxels[((voxels >= 0) & (voxels < size)).all(axis=1)]
        matter[tuple(inside.T)] = np.maximum(matter[tuple(inside.T)], 1.1)


def _stripes(rng: np.random.Generator, position: Field) -> Field:
    """Irregular stripes across a position, about three voxels wide, unit deviation."""
    low = int(np.floor(position.min()))
    profile = ndimage.gaussian_filter1d(rng.standard_normal(int(position.max()) - low + 2), 1.2)
    stripes: Field = (profile / profile.std())[(position - low).astype(np.int64)]
    return stripes

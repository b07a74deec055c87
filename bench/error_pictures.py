"""Pictures of wrong voxels by kind: slices of a cube, and the worst place of each kind.

Each row shows image, label (grey: ignored), prediction, and the image with the wrong voxels in the
colours of their kinds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from error_kinds import KINDS, KindShare
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from scipy import ndimage

from vesuv.types import Array, Mask

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = ("#e6194b", "#ffe119", "#4363d8", "#42d4f4", "#f58231", "#f032e6")
"""Colour of each kind."""
SLICES = 3
"""Slices of each cube."""
EDGE = 64
"""Voxels along the edges of a worst place."""
COLUMNS = ("image", "label (grey: ignored)", "prediction", "wrong voxels")


@dataclass(frozen=True)
class Case:
    """One cube with its wrong voxels."""

    id: str
    image: Array
    label: Array
    prediction: Mask
    valid: Mask
    kinds: Array
    """1 + index of the kind, 0 where the mask is right."""
    shares: list[KindShare]
    dice: float


@dataclass(frozen=True)
class Place:
    """A rectangle of one slice.

    Args:
        case: The cube.
        z: The slice.
        rows: Its range along y.
        columns: Its range along x.
        num_wrong: Wrong voxels of the kind in it.
    """

    case: Case
    z: int
    rows: slice
    columns: slice
    num_wrong: int


def write_slices(case: Case, path: Path) -> None:
    """Draw evenly spaced slices of a cube."""
    figure, axes = plt.subplots(SLICES, 4, figsize=(16, 4 * SLICES + 0.6), squeeze=False)
    whole = slice(None)
    for number, row in enumerate(axes, start=1):
        z = number * case.image.shape[0] // (SLICES + 1)
        _draw_row(row, Place(case, z, whole, whole, 0), f"z = {z}")
    _finish(figure, f"{case.id}: Dice {case.dice:.4f}", path)


def write_worst_places(cases: Sequence[Case], path: Path) -> None:
    """Draw for each kind the rectangle of all cubes that holds most of its voxels."""
    places = {kind: worst_place(cases, index + 1) for index, kind in enumerate(KINDS)}
    places = {kind: place for kind, place in places.items() if place.num_wrong}
    figure, axes = plt.subplots(len(places), 4, figsize=(16, 4.4 * len(places)), squeeze=False)
    for row, (kind, place) in zip(axes, places.items(), strict=True):
        _draw_row(row, place, f"{kind}: {place.num_wrong} in {place.case.id}, z = {place.z}")
    _finish(figure, "The worst place of each kind of wrong voxels", path)


def worst_place(cases: Sequence[Case], number: int) -> Place:
    """Return the rectangle of `EDGE` voxels in a slice that holds most voxels of a kind.

    Args:
        cases: Cubes to look in.
        number: 1 + index of the kind.
    """
    return max((_worst_of(case, number) for case in cases), key=lambda place: place.num_wrong)


def _worst_of(case: Case, number: int) -> Place:
    wrong = (case.kinds == number).astype(np.float32)
    edges = [min(EDGE, length) for length in wrong.shape[1:]]
    # the filter's window reaches from its centre edge // 2 voxels back
    counts = ndimage.uniform_filter(wrong, (1, *edges), mode="constant")
    inner = counts[
        :,
        edges[0] // 2 : wrong.shape[1] - (edges[0] - 1) // 2,
        edges[1] // 2 : wrong.shape[2] - (edges[1] - 1) // 2,
    ]
    z, y, x = map(int, np.unravel_index(inner.argmax(), inner.shape))
    rows, columns = slice(y, y + edges[0]), slice(x, x + edges[1])
    return Place(case, z, rows, columns, int(wrong[z, rows, columns].sum()))


def _draw_row(row: Sequence[Any], place: Place, title: str) -> None:
    case, window = place.case, (place.z, place.rows, place.columns)
    label = np.where(case.valid, case.label > 0, 0.5)[window]
    wrong = np.ma.masked_equal(case.kinds[window], 0)
    image = case.image[window]
    for axis, shown, name in zip(
        row, (image, label, case.prediction[window], image), COLUMNS, strict=True
    ):
        is_image = shown is image
        limits = {} if is_image else {"vmin": 0.0, "vmax": 1.0}
        axis.imshow(shown, cmap="gray", interpolation="nearest", **limits)
        axis.set_axis_off()
        axis.set_title(title if axis is row[0] else name)
    colours = ListedColormap(COLOURS)
    row[3].imshow(wrong, cmap=colours, vmin=0.5, vmax=len(KINDS) + 0.5, interpolation="nearest")


def _finish(figure: Any, title: str, path: Path) -> None:
    patches = [Patch(color=colour, label=kind) for colour, kind in zip(COLOURS, KINDS, strict=True)]
    figure.suptitle(title)
    figure.legend(handles=patches, loc="lower center", ncols=len(KINDS))
    figure.tight_layout(rect=(0, 0.03, 1, 0.98), h_pad=2.0)
    figure.savefig(path, dpi=80)
    plt.close(figure)

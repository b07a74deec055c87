"""Colours of instances: a few hundred cells or nuclei that need no names, only to be told apart."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesuv.types import Array, Mask

Names = NDArray[np.integer[Any]]
"""Number of the instance of each voxel; 0 is none."""

_NUM_COLOURS = 127
"""A prime, so that names in steps of 10 or 1000 take all colours in turn."""
_NUM_CANDIDATES = 4000
_SEED = 3
_EDGE = 0.55
"""Brightness of the outermost voxels of an instance."""
_SRGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175],
     [0.0193339, 0.119192, 0.9503041]]
)  # fmt: skip
_WHITE = _SRGB_TO_XYZ.sum(axis=1)


def instance_colours(names: Names) -> Array:
    """Return the colour (…, 3), 0 to 255, of each name; equal names have equal colours.

    Names 1, 2, … have random colours, in an order in which each is as far as possible from all
    before it; from 127 on they repeat.
    """
    return _palette()[(names % _NUM_COLOURS).astype(np.int64)]


def painted_instances(names: Names) -> Array:
    """Return the colours (y, x, 3) of a slice (y, x) of names, darker where the name changes."""
    colours = instance_colours(names).astype(float)
    colours[edges(names)] *= _EDGE
    return colours


def edges(names: Names) -> Mask:
    """Return the voxels (y, x) of a slice whose name differs from the one above or to the left."""
    is_edge = np.zeros(names.shape, bool)
    is_edge[1:] |= names[1:] != names[:-1]
    is_edge[:, 1:] |= names[:, 1:] != names[:, :-1]
    return is_edge


@lru_cache(maxsize=1)
def _palette() -> Array:
    """Return colours of medium brightness, none of them grey: the farthest from all chosen, again
    and again, in CIE L*a*b*."""
    candidates = np.random.default_rng(_SEED).integers(0, 256, (_NUM_CANDIDATES, 3))
    lab = _to_lab(candidates)
    is_usable = (lab[:, 0] > 50) & (lab[:, 0] < 92) & (np.hypot(lab[:, 1], lab[:, 2]) > 30)
    candidates, lab = candidates[is_usable], lab[is_usable]
    chosen = [0]
    nearest = np.linalg.norm(lab - lab[0], axis=1)
    while len(chosen) < _NUM_COLOURS:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
    palette: Array = np.roll(candidates[chosen], 1, axis=0)  # name 1 has the first colour
    return palette


def _to_lab(colours: Array) -> Array:
    """Return CIE L*a*b* (n, 3) of sRGB colours 0 to 255."""
    srgb = colours / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _SRGB_TO_XYZ.T / _WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    lab: Array = np.stack(
        [116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1
    )
    return lab

"""Betti numbers of a mask: components, loops and cavities, from two labellings and a count.

Foreground is 6-connected, so background is 26-connected; what lies outside the volume is
background, so that only an enclosed hollow is a cavity.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vesuv.data.components import ComponentLabels, label_components
from vesuv.evaluation.measure import Column, Measure, Pair
from vesuv.types import Mask


class Betti(NamedTuple):
    """Betti numbers of dimension 0, 1 and 2."""

    components: int
    loops: int
    cavities: int


def betti_numbers(mask: Mask) -> Betti:
    """Return the Betti numbers of a boolean volume; all 0 for an empty one."""
    if not mask.any():
        return Betti(0, 0, 0)
    _, components = label_foreground(mask)
    _, cavities = label_background(mask)
    return Betti(components, components + cavities - euler_characteristic(mask), cavities)


def betti_error(prediction: Mask, label: Mask) -> Betti:
    """Return the absolute difference of the Betti numbers, dimension by dimension."""
    pairs = zip(betti_numbers(prediction), betti_numbers(label), strict=True)
    return Betti(*(abs(predicted - labelled) for predicted, labelled in pairs))


def label_foreground(mask: Mask) -> tuple[ComponentLabels, int]:
    """Label the 6-connected components 1, 2, ...; return the labels and how many there are."""
    return label_components(mask, 6)


def label_background(mask: Mask) -> tuple[ComponentLabels, int]:
    """Label the 26-connected background of a volume with a rim of background one voxel wide.

    Returns:
        Labels two voxels longer along each axis, the outside with the label of their first voxel;
        and the number of cavities.
    """
    background = np.ones([length + 2 for length in mask.shape], bool)
    np.logical_not(mask, out=background[1:-1, 1:-1, 1:-1])
    labels, num = label_components(background, 26)
    return labels, num - 1


def euler_characteristic(mask: Mask) -> int:
    """Return vertices - edges + squares - cubes of the complex with a vertex for each voxel.

    Counted line by line: along the last axis a run of voxels, or of edges or squares across it,
    leaves exactly one of its cells.
    """
    rows = mask[:-1] & mask[1:]
    total = _runs(mask) - _runs(rows) - _runs(mask[:, :-1] & mask[:, 1:])
    return total + _runs(rows[:, :-1] & rows[:, 1:])


def _runs(mask: Mask) -> int:
    joins = np.count_nonzero(mask[..., :-1] & mask[..., 1:])
    return int(np.count_nonzero(mask)) - int(joins)


def _columns(index: int, dimension: str) -> tuple[Column, Column, Column]:
    error = Column(
        f"{dimension}_error", "lower", headline=True, style="count", short_name=f"b{index} err."
    )
    counts = [Column(f"{dimension}_{side}", style="count") for side in ("predicted", "labelled")]
    return error, counts[0], counts[1]


def _values(pair: Pair) -> list[float]:
    numbers = zip(betti_numbers(pair.judged_prediction), betti_numbers(pair.label), strict=True)
    return [
        value
        for predicted, labelled in numbers
        for value in (abs(predicted - labelled), predicted, labelled)
    ]


BETTI = Measure(
    "betti",
    tuple(c for index, name in enumerate(Betti._fields) for c in _columns(index, name)),
    _values,
)

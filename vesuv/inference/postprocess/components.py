"""Steps that judge whole components."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vesuv.config.postprocess import Step
from vesuv.data.components import ComponentLabels, label_components
from vesuv.types import Mask

Connectivity = Literal[6, 18, 26]
"""Which voxels are neighbours: those that share a face, an edge too, or a corner too."""

Count = Annotated[int, Field(ge=1, le=2**40)]


class RemoveSmall(Step):
    """Remove components of fewer than `voxels` voxels."""

    name: Literal["remove_small"] = "remove_small"
    voxels: Count
    connectivity: Connectivity = 26

    def __call__(self, volume: Mask) -> Mask:
        return remove_small(volume, self.voxels, self.connectivity)


class KeepLargest(Step):
    """Keep the largest components only."""

    name: Literal["keep_largest"] = "keep_largest"
    num: Count = 1
    """How many."""
    connectivity: Connectivity = 26

    def __call__(self, volume: Mask) -> Mask:
        return keep_largest(volume, self.num, self.connectivity)


class FillCavities(Step):
    """Fill background that is enclosed: no path of shared faces leads to the volume's rim."""

    name: Literal["fill_cavities"] = "fill_cavities"

    def __call__(self, volume: Mask) -> Mask:
        return fill_cavities(volume)


def remove_small(mask: Mask, voxels: int, connectivity: Connectivity = 26) -> Mask:
    """Remove components of fewer than `voxels` voxels."""
    labels, num = label_components(mask, connectivity)
    return (_sizes(labels, num) >= voxels)[labels]


def keep_largest(mask: Mask, num: int = 1, connectivity: Connectivity = 26) -> Mask:
    """Keep the `num` largest components; of equal ones those whose first voxel comes first."""
    labels, found = label_components(mask, connectivity)
    sizes = _sizes(labels, found)
    kept = np.zeros(len(sizes), bool)
    kept[np.argsort(-sizes, kind="stable")[:num]] = True
    kept[0] = False
    return kept[labels]


def fill_cavities(mask: Mask) -> Mask:
    """Fill background from which no path of shared faces leads to the volume's rim."""
    labels, num = label_components(~mask, 6)
    outside = np.zeros(num + 1, bool)
    for axis in range(mask.ndim):
        for end in (0, -1):
            outside[np.take(labels, end, axis=axis)] = True
    outside[0] = False
    return ~outside[labels]


def _sizes(labels: ComponentLabels, num: int) -> NDArray[np.int64]:
    """Voxels of each component; background counts none."""
    sizes = np.zeros(num + 1, np.int64)
    for plane in labels:  # plane by plane: counting wants a copy in eight bytes a voxel
        sizes += np.bincount(plane.ravel(), minlength=num + 1)
    sizes[0] = 0
    return sizes

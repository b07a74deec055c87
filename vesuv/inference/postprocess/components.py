"""Steps that judge whole components."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesuv.config.postprocess import Connectivity
from vesuv.data.components import Labels, Mask, label_components


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


def _sizes(labels: Labels, num: int) -> NDArray[np.int64]:
    """Voxels of each component; background counts none."""
    sizes = np.zeros(num + 1, np.int64)
    for plane in labels:  # plane by plane: counting wants a copy in eight bytes a voxel
        sizes += np.bincount(plane.ravel(), minlength=num + 1)
    sizes[0] = 0
    return sizes

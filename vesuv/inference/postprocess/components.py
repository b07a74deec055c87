"""Steps that judge whole components."""

from __future__ import annotations

import cc3d
import numpy as np
from numpy.typing import NDArray

from vesuv.config.postprocess import Connectivity
from vesuv.inference.postprocess.cuts import Mask

Labels = NDArray[np.unsignedinteger]


def remove_small(mask: Mask, voxels: int, connectivity: Connectivity = 26) -> Mask:
    """Remove components of fewer than `voxels` voxels."""
    labels, sizes = _components(mask, connectivity)
    return (sizes >= voxels)[labels]


def keep_largest(mask: Mask, num: int = 1, connectivity: Connectivity = 26) -> Mask:
    """Keep the `num` largest components; of equal ones those whose first voxel comes first."""
    labels, sizes = _components(mask, connectivity)
    kept = np.zeros(len(sizes), bool)
    kept[np.argsort(-sizes, kind="stable")[:num]] = True
    kept[0] = False
    return kept[labels]


def fill_cavities(mask: Mask) -> Mask:
    """Fill background from which no path of shared faces leads to the volume's rim."""
    labels, num = cc3d.connected_components(~mask, connectivity=6, return_N=True, binary_image=True)
    outside = np.zeros(num + 1, bool)
    for axis in range(mask.ndim):
        for end in (0, -1):
            outside[np.take(labels, end, axis=axis)] = True
    outside[0] = False
    return ~outside[labels]


def _components(mask: Mask, connectivity: Connectivity) -> tuple[Labels, NDArray[np.int64]]:
    """Label components, and count the voxels of each; background counts none."""
    labels, num = cc3d.connected_components(
        np.require(mask, requirements="W"),  # which cc3d insists on, though it writes nothing
        connectivity=connectivity,
        return_N=True,
        binary_image=True,
    )
    sizes = np.zeros(num + 1, np.int64)
    for plane in labels:  # plane by plane: counting wants a copy in eight bytes a voxel
        sizes += np.bincount(plane.ravel(), minlength=num + 1)
    sizes[0] = 0
    return labels, sizes

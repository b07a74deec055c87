"""Fragments of one block: watershed basins of the boundary probability around seeds.

The seeds are the maxima of the smoothed distance to the boundary. There are more of them than
instances; `vesuv.inference.instances.agglomeration` unites fragments of one instance.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vesuv.config.data import PROBABILITY_STEPS
from vesuv.data.components import label_components
from vesuv.errors import InputError
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.inference.instances.seeds import local_maxima, smooth_distance
from vesuv.types import Array, Mask, Spacing

FragmentLabels = NDArray[np.int32]


@dataclass(frozen=True)
class BlockFragments:
    """Fragments of a block and what lies around it."""

    labels: FragmentLabels
    """Fragment 1, 2, … of each voxel (z, y, x); 0 is none."""
    contact_levels: Array | None = None
    """Level of each voxel on contacts of fragments; None: that of the boundary."""
    seeds: NDArray[np.int64] | None = None
    """Place of the first voxel of each fragment's seed, as an index into the flat array; parts of
    several blocks with one seed are one fragment. None: each block has seeds of its own."""


class BlockMethod(Protocol):
    """How a block is divided into fragments; can be sent to other processes."""

    @property
    def parameters(self) -> InstanceParameters: ...

    def is_inside(self, levels: Array) -> Mask:
        """Return the voxels that lie inside instances."""
        ...

    def divide(self, levels: Array) -> BlockFragments:
        """Return the fragments of a block of levels (z, y, x)."""
        ...


@dataclass(frozen=True)
class FragmentMethod:
    """How a block of boundary levels is divided into fragments."""

    parameters: InstanceParameters
    spacing: Spacing

    def is_inside(self, levels: Array) -> Mask:
        """Return the voxels whose boundary probability is below the seed threshold."""
        mask: Mask = levels < round(self.parameters.seed_threshold * PROBABILITY_STEPS)
        return mask

    def divide(self, levels: Array) -> BlockFragments:
        """Return the fragments of a block, see `fragments`."""
        return BlockFragments(self.fragments(levels))

    def fragments(self, levels: Array) -> FragmentLabels:
        """Return the fragment 1, 2, … of each voxel; every voxel belongs to one.

        A block without boundary, or without inside, is one fragment.

        Args:
            levels: Boundary levels (z, y, x), see `vesuv.inference.levels`.

        Raises:
            InputError: The extra `instances` is not installed.
        """
        segmentation = watershed_library()
        inside = self.is_inside(levels)
        if inside.all() or not inside.any():
            return np.ones(levels.shape, np.int32)
        seeds = self._seeds(inside)
        return np.asarray(segmentation.watershed(levels, seeds), np.int32)

    def _seeds(self, inside: Mask) -> FragmentLabels:
        distance = smooth_distance(inside, self.spacing, self.parameters.seed_smoothing)
        is_peak = local_maxima(distance, inside)
        if not is_peak.any():  # peaks that smoothing moved into the boundary
            is_peak = inside
        return label_components(is_peak, 26)[0].astype(np.int32)


def watershed_library() -> ModuleType:
    """Return `skimage.segmentation`.

    Raises:
        InputError: The extra `instances` is not installed.
    """
    try:
        from skimage import segmentation
    except ImportError:
        raise InputError(
            "instances need the package 'scikit-image', which is not installed; install the "
            "extra: pip install 'vesuv[instances]'"
        ) from None
    module: ModuleType = segmentation
    return module

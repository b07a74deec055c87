"""Fragments of touching objects, such as nuclei: basins of the depth in the foreground.

The depth of a voxel is its smoothed distance to the background, times its foreground probability.
Objects are deep, the neck between two that touch is shallow, and so is a place where the network
doubts the foreground. Seeds are the maxima of the smoothed distance. The level of a voxel, which
agglomeration takes the mean of on each contact, is 1 at the rim of a fragment and 0 at its deepest
voxel: two halves of one object touch at its full width, two objects at their neck.

A block sees what lies around it, so the same seed is found in each block that its basin reaches:
the parts of such a basin are one fragment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from vesuv.config.data import PROBABILITY_STEPS
from vesuv.data.components import label_components
from vesuv.inference.instances.fragments import BlockFragments, FragmentLabels, watershed_library
from vesuv.inference.instances.parameters import InstanceParameters
from vesuv.inference.instances.seeds import local_maxima, smooth_distance
from vesuv.types import Array, Mask, Spacing

_WITH_CORNERS = 3
"""Connectivity of the watershed: over faces, edges and corners, as of the components of a label."""


@dataclass(frozen=True)
class ObjectMethod:
    """How a block of foreground levels is divided into fragments of objects."""

    parameters: InstanceParameters
    spacing: Spacing

    def is_inside(self, levels: Array) -> Mask:
        """Return the voxels that belong to objects."""
        mask: Mask = levels >= round(
            (self.parameters.foreground_threshold or 0) * PROBABILITY_STEPS
        )
        return mask

    def divide(self, levels: Array) -> BlockFragments:
        """Return the fragment 1, 2, … of each voxel of objects, and 0 elsewhere.

        Foreground without a voxel whose background probability is below the seed threshold is left
        out.

        Args:
            levels: Foreground levels (z, y, x), see `vesuv.inference.levels`.

        Raises:
            InputError: The extra `instances` is not installed.
        """
        segmentation = watershed_library()
        inside = self.is_inside(levels)
        below = round(self.parameters.seed_threshold * PROBABILITY_STEPS)
        core = inside & (PROBABILITY_STEPS - levels.astype(np.int16) < below)
        if not core.any():
            nothing = np.zeros(levels.shape, np.int32)
            return BlockFragments(nothing, np.zeros(levels.shape, np.uint8), np.zeros(0, np.int64))
        distance = smooth_distance(core, self.spacing, self.parameters.seed_smoothing)
        seeds = _seeds(core, distance)
        depth = distance * (levels / np.float32(PROBABILITY_STEPS))
        labels = np.asarray(
            segmentation.watershed(-depth, seeds, connectivity=_WITH_CORNERS, mask=inside), np.int32
        )
        _, places = np.unique(seeds, return_index=True)
        first = 0 if seeds.all() else 1  # the first name is 0, which is no seed
        return BlockFragments(labels, _contact_levels(depth, labels), places[first:])


def _seeds(core: Mask, distance: Array) -> FragmentLabels:
    """Return the maxima of the distance, and whole components of the core that hold none."""
    is_peak = local_maxima(distance, core)
    components, num = label_components(core, 26)
    has_peak = np.bincount(components[is_peak], minlength=num + 1) > 0
    is_peak |= core & ~has_peak[components]
    return label_components(is_peak, 26)[0].astype(np.int32)


def _contact_levels(depth: Array, labels: FragmentLabels) -> Array:
    """Return the levels, as uint8: 0 at the deepest voxel of a fragment, the highest at its rim."""
    num = int(labels.max())
    deepest = np.ones(num + 1, np.float32)
    deepest[1:] = np.maximum(ndimage.maximum(depth, labels, np.arange(1, num + 1)), 1e-6)
    share = np.clip(1 - depth / deepest[labels], 0, 1)
    return np.rint(share * PROBABILITY_STEPS).astype(np.uint8)

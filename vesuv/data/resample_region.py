"""Resampling of a part of a volume, with the values that resampling the whole volume gives.

Labels are equal. The sums of intensities are rounded in another order, so that whole numbers may
differ by 1 where a value lies half-way between two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vesuv.data.labels import IGNORE
from vesuv.data.resample import (
    Kernel,
    apply_weights,
    axis_order,
    axis_weights,
    classes_of_shares,
    coarsening,
    intensities,
    nearest_voxels,
)
from vesuv.types import Array, ClassArray, Mask, Region, Shape


@dataclass(frozen=True)
class RegionResampling:
    """Interpolation between two grids of one volume, of which only regions are in memory.

    Args:
        source: Shape of the whole volume.
        target: Shape of the whole resampled volume.
        kernel: cubic for images, linear for probabilities and shares of classes.
    """

    source: Shape
    target: Shape
    kernel: Kernel

    @property
    def is_identity(self) -> bool:
        return self.source == self.target

    def source_region(self, region: Region) -> Region:
        """Return the voxels of the source that a region of the target depends on."""
        z, y, x = (self._source_slice(axis, part) for axis, part in enumerate(region))
        return z, y, x

    def _source_slice(self, axis: int, part: slice) -> slice:
        old, new = self.source[axis], self.target[axis]
        if old == new:
            return part
        first, _ = axis_weights(old, new, self.kernel, range(part.start, part.start + 1))
        last, weights = axis_weights(old, new, self.kernel, range(part.stop - 1, part.stop))
        return slice(first, last + weights.shape[1])

    def apply(self, volume: Tensor, region: Region) -> Tensor:
        """Interpolate a region.

        Args:
            volume: Voxels (z, y, x) of `source_region(region)`, float32.
            region: Region of the target.
        """
        for axis in axis_order(self.source, self.target):
            old, new = self.source[axis], self.target[axis]
            if old != new:
                rows = range(region[axis].start, region[axis].stop)
                _, weights = axis_weights(old, new, self.kernel, rows)
                volume = apply_weights(volume, weights, axis)
        return volume.contiguous()

    def apply_to_image(
        self, image: Array, region: Region, limits: list[tuple[float, float]]
    ) -> Array:
        """Interpolate a region of an image as `vesuv.data.resample.resample_image` does.

        Args:
            image: (c, z, y, x), voxels of `source_region(region)`.
            region: Region of the target.
            limits: Smallest and largest value of each channel of the whole image.
        """
        if self.is_identity:
            return image
        shape = tuple(part.stop - part.start for part in region)
        result = np.empty((len(image), *shape), image.dtype)
        for channel, out, (low, high) in zip(image, result, limits, strict=True):
            voxels = torch.from_numpy(np.ascontiguousarray(channel, np.float32))
            out[...] = intensities(self.apply(voxels, region), low, high, image.dtype)
        return result

    def apply_to_probs(self, probs: Tensor, region: Region) -> Tensor:
        """Interpolate a region of probabilities (k, z, y, x) as `resample_probs` does."""
        if self.is_identity:
            return probs
        return torch.stack([self.apply(channel.float(), region) for channel in probs])


def resample_label_region(
    label: ClassArray, grids: RegionResampling, region: Region, num_classes: int
) -> ClassArray:
    """Return a region of a label as `vesuv.data.resample.resample_label` does.

    Args:
        label: Class indices and `IGNORE`, voxels of `grids.source_region(region)`.
        grids: Linear interpolation between the label's grids.
        region: Region of the target.
        num_classes: Classes, background counted.
    """
    source = grids.source_region(region)
    rows = [range(part.start, part.stop) for part in region]
    places = nearest_voxels(grids.source, grids.target, rows)
    nearest = label[np.ix_(*(p - part.start for p, part in zip(places, source, strict=True)))]

    def share(mask: Mask) -> Tensor:
        return grids.apply(torch.from_numpy(mask.astype(np.float32)), region)

    shares = (share(label == index) for index in range(1, num_classes))
    factor = coarsening(grids.source, grids.target)
    return classes_of_shares(share(label != IGNORE), shares, nearest, factor)
